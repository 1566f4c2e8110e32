// SPDX-License-Identifier: Apache-2.0
// `nightjar doctor`: what this kernel can deliver.
#include "cli.hpp"

namespace nightjar::test {
namespace {

// "events", an array of objects with their names or an object by name: the contract leaves the shape open.
json event_of(const json& told, const std::string& name) {
  const json& events = at(told, "events");
  if (events.is_object()) return at(events, name);
  for (const auto& one : events) {
    if (text_at(one, "event") == name || text_at(one, "name") == name) return one;
  }
  return nullptr;
}

TEST(Doctor, tells_the_hook_of_each_event_or_why_not) {
  const auto outcome = nightjar({"doctor", "--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const json told = json::parse(outcome.out, nullptr, false);
  ASSERT_TRUE(told.is_object()) << outcome.out.substr(0, 500);
  for (const auto* name : {"exec", "fork", "exit"}) {
    const json one = event_of(told, name);
    ASSERT_TRUE(one.is_object()) << name << " in " << told.dump().substr(0, 500);
    const std::string state = one.contains("state") ? text_at(one, "state") : text_at(one, "status");
    EXPECT_TRUE(state == "active" || state == "full" || state == "degraded" || state == "absent") << one;
    EXPECT_TRUE(at(one, state == "active" || state == "full" ? "hook" : "reason").is_string()) << one;
  }
}

// What it promises is what a watch then gets.
TEST(Doctor, agrees_with_the_start_of_a_stream) {
  if (!tier_options().empty()) GTEST_SKIP() << "a tier is forced: doctor tells of the automatic choice";
  const json told = json::parse(nightjar({"doctor", "--json"}).out, nullptr, false);
  const auto stream = parse_stream(nightjar(watch_arguments({"--events", "process"}, {"/bin/true"})).out, {});
  ASSERT_FALSE(stream.events.empty());
  for (const auto* name : {"exec", "fork", "exit"}) {
    const std::string field = "nightjar.coverage." + std::string(name);
    EXPECT_EQ(text_at(event_of(told, name), "hook"), text_at(stream.events.front(), field + ".hook")) << name;
  }
}

TEST(Doctor, speaks_to_people_without_json) {
  const auto outcome = nightjar({"doctor"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const auto* word : {"exec", "fork", "exit", "ring_buffer", "btf"}) {
    EXPECT_NE(outcome.out.find(word), std::string::npos) << word << " in\n" << outcome.out;
  }
}

}  // namespace
}  // namespace nightjar::test
