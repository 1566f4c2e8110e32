// SPDX-License-Identifier: Apache-2.0
// Rules that hold events back: in the kernel where it can decide, exactly counted wherever it happens.
#include <filesystem>
#include <fstream>

#include <signal.h>
#include <unistd.h>

#include <sys/stat.h>

#include "harness.hpp"

namespace nightjar::test {
namespace {

constexpr int files = 97;

std::string write_config(const TempDir& dir, const std::string& text) {
  const std::string path = dir / "nightjar.yaml";
  std::ofstream(path + ".new") << text;
  ::chmod((path + ".new").c_str(), 0644);
  ::rename((path + ".new").c_str(), path.c_str());
  return path;
}

/// One shell that makes files NAME0, NAME1, ... in the folder, and calls a program in between `every` so many.
std::string make_files(const TempDir& dir, const std::string& name, int count, int every = 0) {
  const std::string pause = every == 0 ? "" : "[ $((i % " + std::to_string(every) + ")) != 0 ] || sleep 0.05; ";
  return "i=0; while [ $i -lt " + std::to_string(count) + " ]; do : > " + (dir / name) + "$i; " + pause +
         "i=$((i+1)); done";
}

struct Told {
  std::size_t created = 0;     ///< of ours
  std::int64_t held_back = 0;  ///< by the rule
  std::int64_t in_kernel = 0;
};

Told told_of(const Stream& stream, const TempDir& dir, const std::string& rule) {
  Told told;
  for (const json& event : stream.of("create")) told.created += text_at(event, "file.path").starts_with(dir / "f");
  for (const json& event : stream.of("events_suppressed")) {
    if (text_at(event, "nightjar.suppressed.key") == rule)
      told.held_back += at(event, "nightjar.suppressed.count").get<std::int64_t>();
  }
  const json& counted = at(stream.events.back(), "nightjar.stats.events.create");
  if (counted.contains("suppressed_in_kernel")) told.in_kernel = counted["suppressed_in_kernel"].get<std::int64_t>();
  if (counted.is_object()) {
    EXPECT_EQ(counted["happened"].get<std::int64_t>(),
              counted["sent"].get<std::int64_t>() + counted["lost"].get<std::int64_t>() + told.held_back)
        << counted;
  }
  return told;
}

Watched watch_files(const TempDir& dir, const std::string& rules, const std::string& script,
                    const std::string& events = "process,create") {
  return watch_command({"/bin/sh", "-c", script},
                       {.options = {"--events", events, "--config", write_config(dir, rules)},
                        .expected = {.whole_trees = false},
                        .may_be_absent = true});
}

TEST(Rules, hold_back_in_the_kernel_by_user) {
  const TempDir dir;
  const auto watched =
      watch_files(dir, "rules: [{id: mine, action: drop, events: [file], uid: " + std::to_string(::geteuid()) + "}]\n",
                  make_files(dir, "f", files));
  SKIP_IF_TOLD(watched);
  const Told told = told_of(watched.stream, dir, "mine");
  EXPECT_EQ(told.created, 0U);
  EXPECT_EQ(told.held_back, files);
  EXPECT_EQ(told.in_kernel, files);
  EXPECT_EQ(watched.stream.of("exec").size(), 1U);
}

TEST(Rules, let_through_whom_they_do_not_mean) {
  const TempDir dir;
  const auto watched =
      watch_files(dir, "rules: [{id: other, action: drop, events: [file], uid: 4242}, {id: a, events: [exec]}]\n",
                  make_files(dir, "f", files));
  SKIP_IF_TOLD(watched);
  const Told told = told_of(watched.stream, dir, "other");
  EXPECT_EQ(told.created, static_cast<std::size_t>(files));
  EXPECT_EQ(told.held_back, 0);
}

TEST(Rules, keep_what_stands_before_a_default_of_drop) {
  const TempDir dir;
  const auto watched =
      watch_files(dir, "default: drop\nrules: [{id: kept, events: [create], path: '" + (dir / "f1*") + "'}]\n",
                  make_files(dir, "f", files), "create");
  SKIP_IF_TOLD(watched);
  // f1, f10 to f19
  EXPECT_EQ(told_of(watched.stream, dir, "default").created, 11U);
}

// By executable: user space learns what a process runs, and teaches the kernel; from then on it is held back there.
TEST(Rules, hold_back_by_executable_and_notice_an_exec) {
  const TempDir dir;
  const std::string shell = std::filesystem::canonical("/bin/sh");
  const std::string other = dir / "other-shell";
  std::filesystem::copy_file(shell, other);
  const auto watched =
      watch_files(dir, "rules: [{id: shell, action: drop, events: [create], executable: '" + shell + "'}]\n",
                  make_files(dir, "f", files, 20) + "; exec " + other + " -c '" + make_files(dir, "f_after", 13) + "'");
  SKIP_IF_TOLD(watched);
  const Told told = told_of(watched.stream, dir, "shell");
  EXPECT_EQ(told.created, 13U);  // all of the other image's, none of the first's
  EXPECT_EQ(told.held_back, files);
  EXPECT_GT(told.in_kernel, files / 2);
}

TEST(Rules, change_on_a_reload_without_a_loss) {
  const TempDir dir;
  const std::string drop =
      "rules: [{id: first, action: drop, events: [create], uid: " + std::to_string(::geteuid()) + "}]\n";
  const std::string config = write_config(dir, drop);
  Strings arguments{
      "run", "--config", config, "--events", "process,create", "--scope", "tree:" + std::to_string(::getpid())};
  for (const auto& option : tier_options()) arguments.push_back(option);
  Agent agent({.arguments = arguments});
  if (!agent.wait_for_output("sensor_started", patience(30))) {
    const auto outcome = agent.finish();
    if (outcome.status == 3) GTEST_SKIP() << outcome.err;
    FAIL() << outcome.err;
  }
  ASSERT_EQ(::system(("/bin/sh -c '" + make_files(dir, "f", files) + "'").c_str()), 0);
  write_config(dir, "rules: [{id: second, action: drop, events: [create], uid: 4242}]\n");
  agent.send_signal(SIGHUP);
  ::usleep(500'000);
  ASSERT_EQ(::system(("/bin/sh -c '" + make_files(dir, "f_later", 13) + "'").c_str()), 0);
  ::usleep(100'000);
  agent.send_signal(SIGTERM);
  const auto outcome = agent.finish();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto stream = parse_stream(outcome.out, {.whole_trees = false});
  const Told told = told_of(stream, dir, "first");
  EXPECT_EQ(told.created, 13U);
  // One more: the new configuration, written by this process, which is in the scope too.
  EXPECT_EQ(told.held_back, files + 1);
  EXPECT_EQ(told.in_kernel, files + 1);
}

}  // namespace
}  // namespace nightjar::test
