// SPDX-License-Identifier: Apache-2.0
#include "agent/filter.hpp"

#include <map>

#include <gtest/gtest.h>

#include "agent/config.hpp"

namespace nightjar {
namespace {

TEST(Glob, star_stays_within_a_name_and_two_stars_do_not) {
  EXPECT_TRUE(glob_matches("/usr/bin/*", "/usr/bin/cat"));
  EXPECT_FALSE(glob_matches("/usr/*", "/usr/bin/cat"));
  EXPECT_TRUE(glob_matches("/usr/**", "/usr/bin/cat"));
  EXPECT_TRUE(glob_matches("**/cat", "/usr/bin/cat"));
  EXPECT_TRUE(glob_matches("/**/b/*.c", "/a/b/c/b/x.c"));
  EXPECT_FALSE(glob_matches("/**/b/*.c", "/a/b/c/d/x.c"));
  EXPECT_TRUE(glob_matches("/a?c", "/abc"));
  EXPECT_FALSE(glob_matches("/a?c", "/a/c"));
  EXPECT_TRUE(glob_matches("*a*b*", "xxaxxbxx"));
  EXPECT_TRUE(glob_matches("", ""));
  EXPECT_FALSE(glob_matches("", "x"));
  EXPECT_TRUE(glob_matches("**", ""));
  EXPECT_FALSE(glob_matches("/x", "/x/y"));
}

TEST(Glob, ends_soon_whatever_the_pattern) {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "*a";
  EXPECT_FALSE(glob_matches(pattern + "b", std::string(2000, 'a')));
}

struct Values : EventValues {
  std::map<Subject, std::vector<std::string>> known;
  std::span<const std::string> values(Subject subject) override { return known[subject]; }
};

Filter filter_of(const std::string& yaml) {
  auto config = parse_config(yaml, "test.yaml");
  EXPECT_TRUE(config) << (config ? "" : config.error().what());
  return config ? config->filter : Filter{};
}

TEST(Filter, the_first_rule_that_matches_decides) {
  const Filter filter = filter_of(
      "default: drop\n"
      "rules:\n"
      "  - {id: noise, action: drop, executable: [/usr/bin/true], uid: '1000-1999'}\n"
      "  - {id: bins, tags: [t], events: [exec], executable: '/usr/bin/*'}\n");
  Values user;
  user.known[Subject::executable] = {"/usr/bin/true"};
  user.known[Subject::uid] = {"1500"};
  EXPECT_FALSE(filter.decide(Kind::exec, user).keep);
  EXPECT_EQ(filter.decide(Kind::exec, user).rule->id, "noise");
  user.known[Subject::uid] = {"2000"};
  EXPECT_TRUE(filter.decide(Kind::exec, user).keep);
  EXPECT_EQ(filter.decide(Kind::exec, user).rule->id, "bins");
  EXPECT_FALSE(filter.decide(Kind::exit, user).keep);  // the rule is for exec only
  EXPECT_EQ(filter.decide(Kind::exit, user).rule, nullptr);
}

TEST(Filter, an_event_without_the_value_does_not_match) {
  const Filter filter = filter_of("rules: [{id: a, action: drop, port: [22, 8000-8100]}]");
  Values event;
  EXPECT_TRUE(filter.decide(Kind::exec, event).keep);
  event.known[Subject::port] = {"8050", "40000"};
  EXPECT_FALSE(filter.decide(Kind::exec, event).keep);
  event.known[Subject::port] = {"23"};
  EXPECT_TRUE(filter.decide(Kind::exec, event).keep);
}

void expect_wrong(const std::string& yaml, const std::string& place, const std::string& said) {
  const auto config = parse_config(yaml, "f");
  ASSERT_FALSE(config) << yaml;
  EXPECT_EQ(config.error().code(), errc::invalid);
  EXPECT_TRUE(config.error().what().starts_with(place)) << config.error().what();
  EXPECT_NE(config.error().what().find(said), std::string::npos) << config.error().what();
}

TEST(Config, says_where_and_what_was_meant) {
  expect_wrong("evnts: [exec]", "f:1:1: ", "did you mean 'events'?");
  expect_wrong("format: ecs\nrules:\n  - id: a\n    exectable: x\n", "f:4:5: ", "did you mean 'executable'?");
  expect_wrong("events: [exec, frok]", "f:1:9: ", "did you mean 'fork'?");
  expect_wrong("events: {a: b}", "f:1:9: ", "expected a list");
  expect_wrong("stats_interval: [1]", "f:1:17: ", "this is a list");
  expect_wrong("stats_interval: soon", "f:1:17: ", "soon");
  expect_wrong("users: perhaps", "f:1:8: ", "expected true or false");
  expect_wrong("users: true\nusers: false", "f:2:1: ", "second time");
  expect_wrong("rules: [{action: drop}]", "f:1:9: ", "no id");
  expect_wrong("rules: [{id: a}, {id: a}]", "f:1:18: ", "above already");
  expect_wrong("rules: [{id: a, port: 65536}]", "f:1:23: ", "65536");
  expect_wrong("rules: [{id: a, uid: nobody-of-this-name}]", "f:1:22: ", "nobody-of-this-name");
  expect_wrong("rules: [{id: a, path: []}]", "f:1:23: ", "match nothing");
  expect_wrong("default: maybe", "f:1:10: ", "keep or drop");
  expect_wrong("a: [", "f:", "not YAML");
  expect_wrong("just words", "f:1:1: ", "expected keys and values");
}

TEST(Config, takes_every_setting_and_an_empty_file) {
  EXPECT_TRUE(parse_config("", "f"));
  const auto config =
      parse_config("events: exec,fork\nformat: ocsf\noutputs: ['-']\nenvironment: []\nusers: false\n", "f");
  ASSERT_TRUE(config) << config.error().what();
  SensorOptions options;
  for (const GivenSetting& given : config->settings)
    ASSERT_TRUE(given.setting->apply(options, given.values, given.name)) << given.name;
  EXPECT_EQ(options.format, Format::ocsf);
  EXPECT_TRUE(options.environment.empty());
  EXPECT_FALSE(options.user_names);
  EXPECT_FALSE(options.wanted.contains(Kind::exit));
}

}  // namespace
}  // namespace nightjar
