// SPDX-License-Identifier: Apache-2.0
// Where events go, and what happens when they cannot.
#include <algorithm>

#include "cli.hpp"

namespace nightjar::test {
namespace {

TEST(Outputs, writes_to_a_file_and_leaves_stdout_to_the_command) {
  const TempDir temp;
  const std::string path = temp / "events";
  const auto outcome = nightjar(watch_arguments({"--output", "file:" + path}, {"/bin/sh", "-c", "echo mine; exit 6"}));
  EXPECT_EQ(outcome.status, 6) << outcome.err;
  EXPECT_EQ(outcome.out, "mine\n");
  const auto stream = parse_stream(read_file(path), {});
  for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
  EXPECT_EQ(stream.of("exec").size(), 1U);
}

TEST(Outputs, writes_to_two_files_the_same) {
  const TempDir temp;
  const auto outcome = nightjar(
      watch_arguments({"--output", "file:" + (temp / "a"), "--output", "file:" + (temp / "b")}, {"/bin/true"}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(read_file(temp / "a"), read_file(temp / "b"));
  EXPECT_FALSE(read_file(temp / "a").empty());
}

/// The command looks itself what was told of it so far.
TEST(Outputs, tells_as_soon_as_the_latency_allows) {
  const TempDir temp;
  const auto watch = [&](const std::string& latency, const std::string& script) {
    const std::string path = temp / latency;
    return nightjar(watch_arguments({"--events", "all", "--latency", latency, "--output", "file:" + path},
                                    {"/bin/sh", "-c", script, "sh", "\"action\":\"exec\"", path}));
  };
  const auto soon = watch("2", "for i in $(seq 97); do grep -q $1 $2 && exit 7; sleep 0.1; done");
  EXPECT_EQ(soon.status, 7) << soon.err;
  const auto late = watch("1000", "sleep 0.2; if grep -q $1 $2; then exit 7; fi; exit 11");
  EXPECT_EQ(late.status, 11) << late.err;
  EXPECT_FALSE(parse_stream(read_file(temp / "1000"), {}).of("exec").empty());
}

// The command does not even run when the stream has nowhere to go.
TEST(Outputs, refuses_a_file_that_cannot_be_opened) {
  const TempDir temp;
  const auto outcome = nightjar(watch_arguments({"--output", "file:/nonexistent/directory/events"},
                                                {"/bin/sh", "-c", "echo ran > " + (temp / "ran")}));
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.status == 1 || outcome.status == 2) << outcome.status;
  EXPECT_NE(outcome.err.find("/nonexistent/directory/events"), std::string::npos) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_EQ(read_file(temp / "ran"), "");
}

TEST(Outputs, fails_when_the_disk_is_full) {
  const auto outcome = nightjar(watch_arguments({"--output", "file:/dev/full"}, {"/bin/true"}));
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("/dev/full"), std::string::npos) << outcome.err;
}

TEST(Outputs, fails_when_stdout_is_full) {
  const auto outcome = run_agent({.arguments = watch_arguments({}, {"/bin/true"}), .stdout_path = "/dev/full"});
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_FALSE(outcome.err.empty());
}

// The reader went away (| head): an error told in a line, not a death by signal and not an endless run.
TEST(Outputs, fails_when_nobody_reads_stdout) {
  const auto outcome = run_agent(
      {.arguments = watch_arguments({}, {"/bin/sh", "-c", "/bin/true; /bin/true"}), .stop_reading_stdout = true});
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_FALSE(outcome.err.empty());
}

// Descriptor 1 must not be reused for something else and then be written to.
TEST(Outputs, fails_when_stdout_is_closed) {
  const auto outcome = run_agent({.arguments = watch_arguments({}, {"/bin/true"}), .close_stdout = true});
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_FALSE(outcome.err.empty());
}

TEST(Outputs, print_a_summary_on_stderr_when_asked) {
  const auto outcome = nightjar(watch_arguments({"--stats"}, {"/bin/true"}));
  EXPECT_EQ(outcome.status, 0);
  for (const auto& problem : parse_stream(outcome.out, {}).problems) ADD_FAILURE() << problem;
  for (const auto* word : {"exec", "exit", "lost"}) {
    EXPECT_NE(outcome.err.find(word), std::string::npos) << word << " in\n" << outcome.err;
  }
}

}  // namespace
}  // namespace nightjar::test
