// SPDX-License-Identifier: Apache-2.0
// The documents made from the tables, and the tables against the published field list of ECS (tests/data/ecs.csv).
#include "wire/catalogue.hpp"

#include <map>
#include <set>
#include <sstream>

#include "sample_events.hpp"

namespace nightjar::test {
namespace {

constexpr const char* regenerate =
    "\nWhen the change is meant: build/ci/bin/nightjar events --markdown > docs/events.md; "
    "build/ci/bin/nightjar events --lock > docs/schema.lock";

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, by);) parts.push_back(part);
  return parts;
}

TEST(Ecs, every_field_is_ecs_with_its_type_or_ours) {
  std::map<std::string, std::string, std::less<>> ecs;
  for (const auto& line : split(data_file("ecs.csv"), '\n')) {
    if (line.starts_with('#')) continue;
    const auto parts = split(line, ',');
    ecs[parts.at(0)] = parts.at(1) + (parts.size() > 2 && parts[2] == "array" ? "[]" : "");
  }
  ASSERT_GT(ecs.size(), 300U);
  for (const EventInfo& event : all_events()) {
    for (const CatalogueRow& row : fields_of(event)) {
      if (row.name.starts_with("nightjar.")) continue;
      const auto known = ecs.find(row.name);
      if (known == ecs.end()) {
        ADD_FAILURE() << event.action << ": " << row.name
                      << " is not in ECS: name it nightjar.* (or extend extract.py)";
        continue;
      }
      EXPECT_EQ(row.type, known->second) << event.action << ": " << row.name;
    }
  }
}

void leaves(const nlohmann::json& value, const std::string& name, std::map<std::string, nlohmann::json>& all) {
  if (!value.is_object()) {
    all[name] = value;
    return;
  }
  for (const auto& [key, inner] : value.items()) leaves(inner, name.empty() ? key : name + "." + key, all);
}

TEST(Ecs, a_line_holds_the_fields_of_the_catalogue_in_their_types) {
  for (const EventInfo& event : all_events()) {
    std::map<std::string, std::string> types;
    for (const CatalogueRow& row : fields_of(event)) types[std::string(row.name)] = row.type;
    std::map<std::string, nlohmann::json> all;
    leaves(sample_event(event, Format::ecs), "", all);
    for (const auto& [name, value] : all) {
      if (name.ends_with(".a")) continue;  // inside a field of type object
      ASSERT_TRUE(types.contains(name)) << event.action << ": " << name;
      const std::string& type = types[name];
      const bool fits = type.ends_with("[]") ? value.is_array()
                        : type == "long"     ? value.is_number_integer()
                        : type == "float"    ? value.is_number()
                        : type == "boolean"  ? value.is_boolean()
                                             : value.is_string();
      EXPECT_TRUE(fits) << event.action << ": " << name << " is " << type << ", written as " << value;
    }
  }
}

TEST(Catalogue, the_reference_is_the_one_in_docs) {
  EXPECT_TRUE(catalogue_markdown() == data_file("events.md"))
      << "docs/events.md is not what the tables say." << regenerate;
}

/// Field and type -> events.
std::map<std::string, std::set<std::string>> lock_of(const std::string& text) {
  std::map<std::string, std::set<std::string>> fields;
  for (const auto& line : split(text, '\n')) {
    if (line.starts_with('#') || line.empty()) continue;
    const auto parts = split(line, ' ');
    auto& events = fields[parts.at(0) + ' ' + parts.at(1)];
    for (const auto& event : split(parts.at(2), ',')) events.insert(event);
  }
  return fields;
}

TEST(Catalogue, no_field_that_was_shipped_disappears_or_changes_its_type) {
  const auto now = lock_of(catalogue_lock());
  for (const auto& [field, events] : lock_of(data_file("schema.lock"))) {
    const auto found = now.find(field);
    if (found == now.end()) {
      ADD_FAILURE() << field << " was shipped and is gone. Keep it, or raise schema_version (src/wire/catalogue.hpp)."
                    << regenerate;
      continue;
    }
    for (const auto& event : events) {
      EXPECT_TRUE(found->second.contains("*") || found->second.contains(event) || event == "*")
          << field << " was shipped in " << event << " and is gone." << regenerate;
    }
  }
}

TEST(Catalogue, the_lock_holds_every_field) {
  EXPECT_TRUE(catalogue_lock() == data_file("schema.lock")) << "docs/schema.lock is not complete." << regenerate;
}

TEST(Catalogue, the_json_schema_is_json_and_holds_each_event) {
  const auto schema = nlohmann::json::parse(catalogue_schema());
  EXPECT_EQ(schema.at("oneOf").size(), all_events().size());
  const auto& exec = schema.at("oneOf").at(0);
  EXPECT_EQ(exec.at("title"), "exec");
  const auto& fields = exec.at("allOf").at(1).at("properties");
  EXPECT_EQ(fields.at("process").at("properties").at("pid").at("type"), "integer");
  EXPECT_EQ(fields.at("process").at("properties").at("args").at("items").at("type"), "string");
}

}  // namespace
}  // namespace nightjar::test
