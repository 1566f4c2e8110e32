// SPDX-License-Identifier: Apache-2.0
// `nightjar run` with its default scope, the whole machine: only where NIGHTJAR_TEST_WHOLE_MACHINE=1 says that the
// machine is the test's own. P7, P11.
#include <csignal>
#include <cstdlib>

#include <unistd.h>

#include <sys/wait.h>

#include "harness.hpp"

namespace nightjar::test {
namespace {

class WholeMachine : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_machine_alone())
      GTEST_SKIP() << "NIGHTJAR_TEST_WHOLE_MACHINE is not 1: other people's processes may run here";
  }

  static int run(const std::string& script) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
      ::_exit(127);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return status;
  }

  static Launch everything() {
    Launch launch;
    launch.arguments = {"run", "--events", "process"};
    for (const auto& option : tier_options()) launch.arguments.push_back(option);
    return launch;
  }
};

TEST_F(WholeMachine, shows_what_runs_already_and_what_comes) {
  Agent agent(everything());
  ASSERT_TRUE(agent.wait_for_output("sensor_started", patience(30)));
  ASSERT_TRUE(agent.wait_for_output("process_snapshot", patience(30)));
  ASSERT_EQ(run("/bin/true nightjar-marker"), 0);
  EXPECT_TRUE(agent.wait_for_output("nightjar-marker", patience(30)));
  agent.send_signal(SIGTERM);
  const auto outcome = agent.finish();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto stream = parse_stream(outcome.out, {.whole_trees = false});
  for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
  EXPECT_EQ(stream.of("process_snapshot", 1).size(), 1U) << "init runs everywhere";
  EXPECT_EQ(stream.of("process_snapshot", ::getpid()).size(), 1U) << "and so does this test";
  // P11: neither kthreadd nor its children.
  EXPECT_TRUE(stream.of("process_snapshot", 2).empty());
  for (const auto& event : stream.events) EXPECT_NE(at(event, "process.parent.pid"), 2) << event;
}

// P7: started in the middle of a storm. Everything told is whole; nobody has an event before its fork.
TEST_F(WholeMachine, starts_cleanly_during_a_storm) {
  const pid_t storm = ::fork();
  if (storm == 0) {
    const std::string count = std::to_string(scaled(2003, 211));
    ::execl(workload("exec_storm").c_str(), "exec_storm", "/dev/null", "2", count.c_str(), workload("tiny").c_str(),
            "1", nullptr);
    ::_exit(127);
  }
  Agent agent(everything());
  EXPECT_TRUE(agent.wait_for_output("sensor_started", patience(30)));
  int status = -1;
  ::waitpid(storm, &status, 0);
  EXPECT_EQ(status, 0);
  ::usleep(500000);
  agent.send_signal(SIGINT);
  const auto outcome = agent.finish();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const auto& problem : parse_stream(outcome.out, {.whole_trees = false}).problems) ADD_FAILURE() << problem;
}

}  // namespace
}  // namespace nightjar::test
