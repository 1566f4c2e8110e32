// SPDX-License-Identifier: Apache-2.0
// OCSF output against the published schema (tests/data/ocsf.json, made by tests/data/extract.py).
#include <algorithm>

#include "sample_events.hpp"

namespace nightjar::test {
namespace {

const nlohmann::json& schema() {
  static const nlohmann::json all = nlohmann::json::parse(data_file("ocsf.json"));
  return all;
}

void check_object(const nlohmann::json& value, const nlohmann::json& description, const std::string& path);

void check_one(const nlohmann::json& value, const nlohmann::json& attribute, const std::string& path) {
  const std::string type = attribute.at("type");
  if (type == "string_t") {
    EXPECT_TRUE(value.is_string()) << path << ": " << value;
  } else if (type == "integer_t" || type == "long_t") {
    EXPECT_TRUE(value.is_number_integer()) << path << ": " << value;
  } else if (type == "boolean_t") {
    EXPECT_TRUE(value.is_boolean()) << path << ": " << value;
  } else if (type == "object" || type == "json_t") {
    EXPECT_TRUE(value.is_object()) << path << ": " << value;
  } else if (schema().at("objects").contains(type)) {
    check_object(value, schema().at("objects").at(type), path);
  } else {
    ADD_FAILURE() << path << ": type " << type << " is not in tests/data/ocsf.json: add it to extract.py";
  }
  if (attribute.contains("enum")) {
    const auto& allowed = attribute.at("enum");
    EXPECT_NE(std::find(allowed.begin(), allowed.end(), value), allowed.end()) << path << ": " << value;
  }
}

void check_object(const nlohmann::json& value, const nlohmann::json& description, const std::string& path) {
  ASSERT_TRUE(value.is_object()) << path << ": " << value;
  const auto& attributes = description.at("attributes");
  for (const auto& [name, inner] : value.items()) {
    const std::string here = path.empty() ? name : path + "." + name;
    if (!attributes.contains(name)) {
      ADD_FAILURE() << here << " is no attribute of OCSF " << schema().at("version");
      continue;
    }
    const auto& attribute = attributes.at(name);
    if (!attribute.value("array", false)) {
      check_one(inner, attribute, here);
      continue;
    }
    EXPECT_TRUE(inner.is_array()) << here;
    for (const auto& element : inner) check_one(element, attribute, here + "[]");
  }
  for (const auto& [name, attribute] : attributes.items()) {
    if (attribute.value("required", false)) {
      EXPECT_TRUE(value.contains(name)) << (path.empty() ? "the event" : path) << " lacks the required " << name;
    }
  }
  const auto constraints = description.value("constraints", nlohmann::json::object());
  if (constraints.contains("at_least_one")) {
    const auto& names = constraints.at("at_least_one");
    EXPECT_TRUE(std::any_of(names.begin(), names.end(), [&](const auto& name) { return value.contains(name); }))
        << (path.empty() ? "the event" : path) << " has none of " << names << ": " << value;
  }
}

void check_event(const nlohmann::json& event) {
  const std::string uid = std::to_string(event.value("class_uid", -1));
  ASSERT_TRUE(schema().at("classes").contains(uid)) << uid;
  check_object(event, schema().at("classes").at(uid), "");
  EXPECT_EQ(event.at("type_uid"), event.at("class_uid").get<int>() * 100 + event.at("activity_id").get<int>());
  EXPECT_EQ(event.at("category_uid"), event.at("class_uid").get<int>() / 1000);
}

TEST(Ocsf, every_event_with_every_field_keeps_to_the_schema) {
  for (const EventInfo& event : all_events()) {
    SCOPED_TRACE(event.action);
    check_event(sample_event(event, Format::ocsf));
  }
}

TEST(Ocsf, every_event_with_hardly_a_field_keeps_to_the_schema) {
  for (const EventInfo& event : all_events()) {
    SCOPED_TRACE(event.action);
    check_event(sample_event(event, Format::ocsf, true));
  }
}

TEST(Ocsf, an_exec_is_a_launch_by_its_parent) {
  const auto event = sample_event(event_info(Kind::exec), Format::ocsf);
  EXPECT_EQ(event["class_uid"], 1007);
  EXPECT_EQ(event["type_uid"], 100701);
  EXPECT_EQ(event["process"]["pid"], 1);
  EXPECT_EQ(event["process"]["cmd_line"], "/x/y");
  EXPECT_EQ(event["process"]["file"]["name"], "y");
  EXPECT_EQ(event["process"]["file"]["type_id"], 8);
  EXPECT_EQ(event["process"]["environment_variables"], nlohmann::json::parse(R"([{"name":"A","value":"b"}])"));
  EXPECT_EQ(event["actor"]["process"]["path"], "/x/y");
  EXPECT_FALSE(event["actor"]["process"].contains("cmd_line"));
  EXPECT_EQ(event["time"], 1795309323004);
  EXPECT_EQ(event["unmapped"]["process"]["args"], nlohmann::json::array({"A=b"}));
}

TEST(Ocsf, what_is_lost_is_told_as_a_base_event) {
  const auto event = sample_event(event_info(Kind::events_lost), Format::ocsf);
  EXPECT_EQ(event["class_uid"], 0);
  EXPECT_EQ(event["status_id"], 2);
  EXPECT_EQ(event["metadata"]["event_code"], "events_lost");
  EXPECT_EQ(event["unmapped"]["nightjar"]["lost"]["count"], 7);
}

std::string converted(Convert convert, std::string value) {
  Leaf leaf;
  leaf.convert = convert;
  std::string to = "before:" + value;
  return convert_value(to, 7, leaf) ? to.substr(7) : "nothing";
}

TEST(Convert, turns_values_as_text) {
  EXPECT_EQ(converted(Convert::milliseconds, R"("1970-01-01T00:00:01.234567890Z")"), "1234");
  EXPECT_EQ(converted(Convert::milliseconds, R"("2024-02-29T23:59:59.999999999Z")"), "1709251199999");
  EXPECT_EQ(converted(Convert::milliseconds, R"("yesterday")"), "nothing");
  EXPECT_EQ(converted(Convert::ns_to_milliseconds, "1234567"), "1");
  EXPECT_EQ(converted(Convert::ns_to_milliseconds, "999"), "0");
  EXPECT_EQ(converted(Convert::integer, R"("1000")"), "1000");
  EXPECT_EQ(converted(Convert::integer, R"("root")"), "nothing");
  EXPECT_EQ(converted(Convert::text, "5"), R"("5")");
  EXPECT_EQ(converted(Convert::base_name, R"("/usr/bin/cat")"), R"("cat")");
  EXPECT_EQ(converted(Convert::base_name, R"("cat")"), R"("cat")");
  EXPECT_EQ(converted(Convert::base_name, R"("/")"), R"("/")");
  EXPECT_EQ(converted(Convert::environment, R"(["A=x=\"y\",","B","C="])"),
            R"([{"name":"A","value":"x=\"y\","},{"name":"B","value":""},{"name":"C","value":""}])");
  EXPECT_EQ(converted(Convert::environment, "[]"), "[]");
  EXPECT_EQ(converted(Convert::answers, R"([{"name":"a\"data\":b","data":"1"}])"),
            R"([{"hostname":"a\"data\":b","rdata":"1"}])");
}

}  // namespace
}  // namespace nightjar::test
