// SPDX-License-Identifier: Apache-2.0
// `nightjar version` and `nightjar events`.
#include <map>
#include <set>

#include "cli.hpp"

namespace nightjar::test {
namespace {

TEST(Version, is_one_line) {
  const auto outcome = nightjar({"version"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with("nightjar ")) << outcome.out;
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1);
  EXPECT_NE(outcome.out.find_first_of("0123456789"), std::string::npos);
}

TEST(Version, is_what_the_stream_begins_with) {
  const auto version = nightjar({"version"}).out;
  const auto outcome = nightjar(watch_arguments({}, {"/bin/true"}));
  const auto stream = parse_stream(outcome.out, {});
  ASSERT_FALSE(stream.events.empty());
  const auto words = version.substr(9, version.find_first_of(" \n", 9) - 9);
  EXPECT_NE(stream.events.front().dump().find(words), std::string::npos) << stream.events.front();
}

// {"events":[{"name":"exec","family":"process","doc":...,"fields":[{"name":...,"type":...,"doc":...}]}]} or the bare
// array.
std::map<std::string, json> listed() {
  std::map<std::string, json> events;
  const auto outcome = nightjar({"events", "--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const json all = json::parse(outcome.out, nullptr, false);
  const json& list = all.is_object() && all.contains("events") ? all.at("events") : all;
  EXPECT_TRUE(list.is_array()) << outcome.out.substr(0, 300);
  for (const auto& one : list) events[text_at(one, "name")] = one;
  return events;
}

TEST(Events, lists_the_process_and_sensor_families_with_a_text_for_each_field) {
  const auto events = listed();
  for (const auto* name : {"exec", "exec_failed", "fork", "exit", "process_snapshot", "sensor_started",
                           "sensor_stopped", "sensor_stats", "events_lost"}) {
    ASSERT_TRUE(events.contains(name)) << name;
    const json& event = events.at(name);
    EXPECT_TRUE(at(event, "doc").is_string() && !text_at(event, "doc").empty()) << name;
    ASSERT_TRUE(at(event, "fields").is_array()) << name;
    EXPECT_FALSE(at(event, "fields").empty()) << name;
    for (const auto& field : at(event, "fields")) {
      EXPECT_TRUE(at(field, "name").is_string()) << name << ": " << field;
      EXPECT_TRUE(at(field, "doc").is_string() && !text_at(field, "doc").empty()) << name << ": " << field;
    }
  }
  EXPECT_EQ(text_at(events.at("exec"), "family"), "process");
  EXPECT_EQ(text_at(events.at("events_lost"), "family"), "sensor");
}

void leaves(const json& value, const std::string& name, std::set<std::string>& names) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, inner] : value.items()) leaves(inner, name.empty() ? key : name + "." + key, names);
  } else {
    names.insert(name);
  }
}

// The list comes from the table that the encoder uses: no field of a real event is missing in it.
TEST(Events, lists_every_field_that_a_real_event_has) {
  const auto events = listed();
  const auto outcome = nightjar(watch_arguments({"--events", "process"}, {"/bin/sh", "-c", "/bin/true; exit 0"}));
  std::set<std::string> unknown;
  for (const auto& event : parse_stream(outcome.out, {}).events) {
    const auto found = events.find(action_of(event));
    ASSERT_NE(found, events.end()) << action_of(event);
    std::set<std::string> known;
    for (const auto& field : at(found->second, "fields")) known.insert(text_at(field, "name"));
    std::set<std::string> names;
    leaves(event, "", names);
    for (const auto& name : names) {
      const bool open = name.starts_with("nightjar.coverage.") || name.starts_with("nightjar.raw.") ||
                        name.starts_with("nightjar.truncated.");
      const bool listed_above = std::any_of(known.begin(), known.end(), [&](const auto& one) {
        return name == one || (name.starts_with(one) && name[one.size()] == '.');
      });
      if (!open && !listed_above) unknown.insert(action_of(event) + ": " + name);
    }
  }
  EXPECT_EQ(unknown, std::set<std::string>{});
}

TEST(Events, lists_for_people_without_json) {
  const auto outcome = nightjar({"events"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const auto* name : {"exec", "fork", "exit", "events_lost"}) EXPECT_NE(outcome.out.find(name), std::string::npos);
}

}  // namespace
}  // namespace nightjar::test
