// SPDX-License-Identifier: Apache-2.0
// The exit status of `watch` is COMMAND's.
#include <csignal>
#include <fstream>

#include <sys/stat.h>

#include "cli.hpp"

namespace nightjar::test {
namespace {

int status_of(const Strings& command) {
  const auto outcome = nightjar(watch_arguments({}, command));
  EXPECT_FALSE(outcome.timed_out);
  for (const auto& problem : parse_stream(outcome.out, {}).problems) ADD_FAILURE() << problem;
  return outcome.status;
}

TEST(Status, is_that_of_the_command) {
  for (const int code : {0, 1, 2, 3, 77, 125, 126, 127, 128, 255}) {
    EXPECT_EQ(status_of({workload("tiny"), std::to_string(code)}), code);
  }
}

TEST(Status, is_128_and_the_signal_that_ended_the_command) {
  for (const int number : {SIGTERM, SIGKILL, SIGSEGV, SIGINT, 64}) {
    EXPECT_EQ(status_of({workload("signal_self"), std::to_string(number)}), 128 + number);
  }
}

// The command did not run; whether a stream began before that was known is left open, a stray exec is not.
void expect_not_run(const Outcome& outcome, int status, const std::string& name) {
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_NE(outcome.err.find(name), std::string::npos) << outcome.err;
  if (!outcome.out.empty()) {
    const auto stream = parse_stream(outcome.out, {.whole_trees = false});
    for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
    EXPECT_TRUE(stream.of("exec").empty());
  }
}

TEST(Status, is_127_when_the_command_is_not_found) {
  expect_not_run(nightjar(watch_arguments({}, {"/nonexistent/nightjar-command"})), 127,
                 "/nonexistent/nightjar-command");
  expect_not_run(nightjar(watch_arguments({}, {"nightjar-no-such-command"})), 127, "nightjar-no-such-command");
}

TEST(Status, is_126_when_the_command_is_not_executable) {
  const TempDir temp;
  const std::string path = temp / "plain";
  std::ofstream(path) << "not a program\n";
  ::chmod(path.c_str(), 0644);
  expect_not_run(nightjar(watch_arguments({}, {path})), 126, path);
  expect_not_run(nightjar(watch_arguments({}, {temp.path()})), 126, temp.path());
}

TEST(Status, finds_the_command_in_path) {
  EXPECT_EQ(status_of({"true"}), 0);
}

// An option of COMMAND is not the agent's.
TEST(Status, passes_options_on_to_the_command) {
  const auto outcome = nightjar(watch_arguments({}, {"/bin/sh", "-c", "exit $#", "sh", "--help", "--events", "--"}));
  EXPECT_EQ(outcome.status, 3) << outcome.err;
}

// SIGINT is COMMAND's business, as with strace: the agent stays until the tree has ended, and ends the stream.
TEST(Status, ends_the_stream_when_interrupted) {
  Agent agent({.arguments = watch_arguments({}, {"/bin/sleep", "600"})});
  ASSERT_TRUE(agent.wait_for_output("\"action\":\"exec\"", patience(30)));
  ::kill(-agent.pid(), SIGINT);  // as a terminal does: to the whole process group
  const auto outcome = agent.finish();
  EXPECT_FALSE(outcome.timed_out) << outcome.err;
  EXPECT_EQ(outcome.status, 128 + SIGINT) << outcome.err;
  const auto stream = parse_stream(outcome.out, {.whole_trees = false});
  for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
}

}  // namespace
}  // namespace nightjar::test
