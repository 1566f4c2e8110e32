// SPDX-License-Identifier: Apache-2.0
// Rules on paths as a user writes them: what they drop never leaves the kernel, and is counted.
#include <fstream>

#include <signal.h>
#include <unistd.h>

#include <sys/stat.h>

#include "harness.hpp"

namespace nightjar::test {
namespace {

std::string written(const TempDir& dir, const std::string& yaml) {
  std::string path = dir / "rules.yaml";
  std::ofstream(path) << yaml;
  ::chmod(path.c_str(), 0644);
  return path;
}

/// DIR/in and DIR/out, and in each the files that a shell makes.
std::string making(const TempDir& dir) {
  ::mkdir((dir / "in").c_str(), 0755);
  ::mkdir((dir / "out").c_str(), 0755);
  return "for i in 1 2 3 4 5 6 7; do : > " + (dir / "in") + "/f$i; done; for i in 1 2 3 4 5 6 7 8 9 10 11; do : > " +
         (dir / "out") + "/f$i; done";
}

std::uint64_t suppressed(const Stream& stream, std::string_view rule) {
  std::uint64_t count = 0;
  for (const json& event : stream.of("events_suppressed")) {
    if (at(event, "nightjar.suppressed.key") == rule)
      count += at(event, "nightjar.suppressed.count").get<std::uint64_t>();
  }
  return count;
}

/// As the kernel counts the events that it sends.
/// What the kernel let through: whatever else happened, it counted as held back.
std::uint64_t let_through(const Stream& stream, const std::string& action) {
  const json counted = at(stream.of("sensor_stopped").at(0), "nightjar.stats.events." + action);
  return counted.at("happened").get<std::uint64_t>() - counted.value("suppressed_in_kernel", std::uint64_t{0});
}

/// One event kind that every tier can show.
Watched watch_with(const std::string& config, const std::string& shell) {
  Watch how;
  how.options = {"--config", config, "--events", "process,create"};
  return watch_command({"/bin/sh", "-c", shell}, how);
}

void expect_kept_and_dropped(const Watched& watched) {
  const auto created = watched.stream.of("create");
  ASSERT_EQ(created.size(), 7U) << watched.outcome.err;
  for (const json& event : created) {
    EXPECT_EQ(at(event, "nightjar.rule.id"), "watched");
    EXPECT_EQ(at(event, "nightjar.rule.tags"), json::array({"t"}));
  }
  EXPECT_EQ(let_through(watched.stream, "create"), 7U);  // the rest was never sent
}

TEST(PathRules, include_and_exclude) {
  const TempDir dir;
  const std::string shell = making(dir);
  const auto watched =
      watch_with(written(dir, "rules:\n  - {id: watched, tags: [t], events: [file], path: '" + (dir / "i?") +
                                  "/**'}\n" + "  - {id: rest, action: drop, events: [file], path: '/**'}\n"),
                 shell);
  expect_kept_and_dropped(watched);
  EXPECT_EQ(suppressed(watched.stream, "rest"), 11U);
}

/// The seed's row F24: an exact name hid a wildcard.
TEST(PathRules, an_exact_name_hides_no_wildcard) {
  const TempDir dir;
  const std::string shell = making(dir);
  const auto watched = watch_with(written(dir, "default: drop\nrules:\n  - {id: process, events: [process]}\n" +
                                                   std::string("  - {id: other, path: ['") + (dir / "in") + "/y']}\n" +
                                                   "  - {id: watched, tags: [t], path: '" + dir.path() + "/in*/f*'}\n"),
                                  shell);
  expect_kept_and_dropped(watched);
  EXPECT_EQ(suppressed(watched.stream, "default"), 11U);
}

/// A rule with further conditions is asked in user space, whatever the kernel knows of it.
TEST(PathRules, with_further_conditions_drop_no_more_than_they_say) {
  const TempDir dir;
  const std::string shell = making(dir);
  const auto watched =
      watch_with(written(dir,
                         "rules:\n  - {id: nobody, action: drop, events: [file], uid: 65533, path: '/**'}\n"
                         "  - {id: root, action: drop, events: [file], uid: 0, path: '" +
                             (dir / "out") + "/**'}\n  - {id: watched, tags: [t], events: [file]}\n"),
                 shell);
  ASSERT_EQ(watched.stream.of("create").size(), 7U) << watched.outcome.err;
  EXPECT_EQ(suppressed(watched.stream, "root"), 11U);
  EXPECT_EQ(suppressed(watched.stream, "nobody"), 0U);
}

TEST(PathRules, show_reads_of_watched_paths_only) {
  const TempDir dir;
  std::ofstream(dir / "secret") << "x";
  std::ofstream(dir / "public") << "x";
  const auto config = written(dir, "rules: [{id: secrets, events: [open_read], path: '" + dir.path() + "/**/sec*'}]\n");
  const auto watched = watch_with(config, "for i in 1 2 3; do read x < " + (dir / "secret") +
                                              "; done; for i in 1 2 3 4 5; do read x < " + (dir / "public") + "; done");
  const auto reads = watched.stream.of("open_read");
  ASSERT_EQ(reads.size(), 3U) << watched.outcome.err;
  for (const json& event : reads) EXPECT_EQ(at(event, "nightjar.rule.id"), "secrets");
  EXPECT_EQ(let_through(watched.stream, "open_read"), 3U);
}

TEST(PathRules, change_while_the_sensor_runs) {
  const TempDir dir;
  ::mkdir((dir / "a").c_str(), 0755);
  ::mkdir((dir / "b").c_str(), 0755);
  const auto dropping = [&](const std::string& name) {
    return written(dir, "rules: [{id: no_" + name + ", action: drop, path: '" + (dir / name) + "/**'}]\n");
  };
  const auto make = [&](const std::string& name, int count) {
    for (int i = 0; i < count; ++i) std::ofstream((dir / name) + "/" + name + std::to_string(i));
    for (int i = 0; i < count; ++i) ::unlink(((dir / name) + "/" + name + std::to_string(i)).c_str());
  };
  Strings arguments{"run",      "--config", dropping("a"), "--scope", "tree:" + std::to_string(::getpid()),
                    "--events", "create"};
  for (const auto& option : tier_options()) arguments.push_back(option);
  Agent agent({.arguments = arguments});
  ASSERT_TRUE(agent.wait_for_output("sensor_started", patience(30)));
  make("a", 13);
  make("b", 17);
  ASSERT_TRUE(agent.wait_for_output("/b/b16\"", patience(10)));
  (void)dropping("b");
  agent.send_signal(SIGHUP);
  bool changed = false;
  for (int i = 0; i < 100 && !changed; ++i) {
    make("a", 1);
    changed = agent.wait_for_output("/a/a0\"", std::chrono::milliseconds(100));
  }
  ASSERT_TRUE(changed);
  make("b", 19);
  make("a", 23);
  ASSERT_TRUE(agent.wait_for_output("/a/a22\"", patience(10)));
  agent.send_signal(SIGTERM);
  const auto outcome = agent.finish();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto stream = parse_stream(outcome.out, {.whole_trees = false});
  for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
  std::size_t of_b = 0;
  for (const json& event : stream.of("create")) of_b += text_at(event, "file.path").find("/b/") != std::string::npos;
  EXPECT_EQ(of_b, 17U);
  EXPECT_EQ(suppressed(stream, "no_b"), 19U);
  EXPECT_GE(suppressed(stream, "no_a"), 13U);
}

}  // namespace
}  // namespace nightjar::test
