// SPDX-License-Identifier: Apache-2.0
#include "agent/filter.hpp"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "agent/config.hpp"
#include "agent/path_rules.hpp"

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

TEST(Glob, two_stars_between_slashes_are_any_directories) {
  for (const char* path : {"/a/b", "/a/x/b", "/a/x/y/b"}) EXPECT_TRUE(glob_matches("/a/**/b", path)) << path;
  for (const char* path : {"/ab", "/a/xb", "/a/b/x", "/ax/b"}) EXPECT_FALSE(glob_matches("/a/**/b", path)) << path;
  EXPECT_TRUE(glob_matches("/**/b", "/b"));
  EXPECT_TRUE(glob_matches("/a/**/b/**/c*", "/a/b/x/b/y/cd"));
  EXPECT_FALSE(glob_matches("/a/**/b/**/c", "/a/x/bb/c"));
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

/// What the kernel is told: the rule that decides for a path, "" when the event is sent.
std::string dropped_by(const Filter& filter, Kind kind, const std::string& path) {
  const PathRules rules = compile_path_rules(filter);
  const unsigned number = static_cast<unsigned>(kind) - WIRE_FILE_CREATE;
  const auto verdict = std::min(rules.tables.set.others[number], walk_tables(rules.tables, path, number));
  return (verdict & WIRE_VERDICT_DROPS) != 0 ? rules.names.at(verdict >> 1) : "";
}

TEST(PathRules, drop_in_the_kernel_what_is_sure) {
  const Filter filter = filter_of(
      "rules:\n"
      "  - {id: by_user, action: drop, uid: 5, path: [/a/**]}\n"  // the kernel does not know that
      "  - {id: maybe, uid: 6, path: [/a/b/**]}\n"                // may keep
      "  - {id: chmods, action: drop, events: [chmod], path: [/a/b/c, /a/d]}\n"
      "  - {id: rest, action: drop, events: [file], path: [/a/**]}\n");
  EXPECT_EQ(dropped_by(filter, Kind::chmod, "/a/b/c"), "");
  EXPECT_EQ(dropped_by(filter, Kind::chmod, "/a/d"), "chmods");
  EXPECT_EQ(dropped_by(filter, Kind::create, "/a/d"), "rest");
  EXPECT_EQ(dropped_by(filter, Kind::create, "/b"), "");
}

TEST(PathRules, follow_the_default_and_rules_without_paths) {
  const Filter filter = filter_of(
      "default: drop\n"
      "rules:\n"
      "  - {id: tmp, action: drop, path: /tmp/**}\n"
      "  - {id: all_creates, events: [create]}\n"
      "  - {id: etc, path: /etc/**}\n");
  EXPECT_EQ(dropped_by(filter, Kind::create, "/tmp/x"), "tmp");
  EXPECT_EQ(dropped_by(filter, Kind::create, "/x"), "");
  EXPECT_EQ(dropped_by(filter, Kind::chmod, "/etc/x"), "");
  EXPECT_EQ(dropped_by(filter, Kind::chmod, "/x"), "default");
}

TEST(PathRules, once_reads_are_watched_others_are_not_told) {
  const Filter filter = filter_of("rules: [{id: a}, {id: keys, events: [open_read], path: /k}]");
  EXPECT_EQ(dropped_by(filter, Kind::open_read, "/k"), "");
  EXPECT_EQ(dropped_by(filter, Kind::open_read, "/x"), "default");
  EXPECT_EQ(dropped_by(filter, Kind::create, "/x"), "");
  Values event;
  event.known[Subject::path] = {"/x"};
  EXPECT_FALSE(filter.decide(Kind::open_read, event).keep);
  event.known[Subject::path] = {"/k"};
  EXPECT_EQ(filter.decide(Kind::open_read, event).rule->id, "keys");
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
