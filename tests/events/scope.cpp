// SPDX-License-Identifier: Apache-2.0
// Scopes: a process tree, a cgroup. What is outside does not appear, whatever it does.
#include <csignal>
#include <map>
#include <memory>
#include <set>

#include <unistd.h>

#include "cgroups.hpp"
#include "harness.hpp"
#include "running.hpp"

namespace nightjar::test {
namespace {

/// Forks and executes as fast as it can, until it goes out of scope: this tree must not appear in any stream.
class Noise {
 public:
  Noise() : process_({"/bin/sh", "-c", "while :; do /bin/true nightjar-noise; done"}) {}
  ~Noise() {
    ::kill(process_.pid(), SIGKILL);
    process_.end();
  }

 private:
  Process process_;
};

Launch run_with(const Strings& options) {
  Launch launch;
  launch.arguments = {"run", "--events", "process"};
  const auto tier = tier_options();
  launch.arguments.insert(launch.arguments.end(), tier.begin(), tier.end());
  launch.arguments.insert(launch.arguments.end(), options.begin(), options.end());
  return launch;
}

void report(const Stream& stream) {
  for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
}

// A running tree is met in its middle: no fork of those that were there already.
constexpr Expectations in_the_middle = {.whole_trees = false};

TEST(Scope, keeps_another_busy_tree_out_of_a_watch) {
  const Noise noise;
  const auto watched = watch_command({"/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11; do /bin/true mine; done"});
  EXPECT_EQ(watched.outcome.out.find("nightjar-noise"), std::string::npos);
  EXPECT_EQ(watched.stream.of("exec").size(), 12U);
}

class ScopeOf : public testing::TestWithParam<const char*> {};  // a feature that is withheld
TEST_P(ScopeOf, a_tree_that_runs_already_follows_it_and_shows_its_past) {
  const TempDir temp;
  const std::string log = temp / "log";
  const Noise noise;
  Process tree({workload("tree"), log, workload("tiny")});
  ASSERT_TRUE(wait_for_lines(log, "ready", 1));
  Agent agent(run_with({"--scope", "tree:" + std::to_string(tree.pid()), "--without", GetParam()}));
  ASSERT_TRUE(agent.wait_for_output("sensor_started", patience(30)));
  ASSERT_TRUE(agent.wait_for_output("process_snapshot", patience(30)));
  const std::size_t rounds = 5;
  for (std::size_t i = 0; i < rounds; i++) tree.send();
  ASSERT_TRUE(wait_for_lines(log, "round", rounds));
  tree.end();
  ::usleep(in_vm() ? 2000000 : 300000);  // what happened is to arrive by itself, before the signal
  agent.send_signal(SIGINT);
  const auto outcome = agent.finish();
  EXPECT_FALSE(outcome.timed_out) << outcome.err;
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto stream = parse_stream(outcome.out, in_the_middle);
  report(stream);
  // The three that were there, each once; then what they did.
  const auto child = lines(log, "child").at(0).at("pid").get<std::int64_t>();
  const auto grandchild = lines(log, "grandchild").at(0).at("pid").get<std::int64_t>();
  const auto root = lines(log, "ready").at(0).at("pid").get<std::int64_t>();
  for (const std::int64_t pid : {root, child, grandchild}) {
    const auto snapshots = stream.of("process_snapshot", pid);
    ASSERT_EQ(snapshots.size(), 1U) << pid;
    EXPECT_EQ(text_at(snapshots[0], "process.executable"), workload("tree"));
    EXPECT_EQ(args_of(snapshots[0]), (Strings{workload("tree"), log, workload("tiny")}));
    EXPECT_TRUE(has_element(at(snapshots[0], "event.type"), "info"));
    EXPECT_EQ(stream.of("exit", pid).size(), 1U) << pid;
    EXPECT_EQ(at(stream.of("exit", pid).at(0), "process.entity_id"), at(snapshots[0], "process.entity_id"));
  }
  EXPECT_EQ(stream.of("process_snapshot").size(), 3U);
  EXPECT_EQ(at(stream.of("process_snapshot", grandchild).at(0), "process.parent.pid"), child);
  EXPECT_EQ(at(stream.of("exit", grandchild).at(0), "process.exit_code"), 11);
  const auto done = lines(log, "did");
  ASSERT_EQ(done.size(), 2 * rounds);
  for (const auto& one : done) {
    const auto pid = one.at("pid").get<std::int64_t>();
    ASSERT_EQ(stream.of("fork", pid).size(), 1U) << one;
    EXPECT_EQ(at(stream.of("fork", pid)[0], "process.parent.pid"), one.at("ppid"));
    ASSERT_EQ(stream.of("exec", pid).size(), 1U) << one;
    EXPECT_EQ(args_of(stream.of("exec", pid)[0]), (Strings{"tiny", one.at("index").dump()}));
    ASSERT_EQ(stream.of("exit", pid).size(), 1U) << one;
    EXPECT_EQ(at(stream.of("exit", pid)[0], "process.exit_code"), one.at("code"));
  }
  EXPECT_EQ(stream.of("exec").size(), done.size());
  EXPECT_EQ(outcome.out.find("nightjar-noise"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Without, ScopeOf, testing::Values("", "task_iterator"),
                         [](const auto& one) { return std::string(*one.param == 0 ? "nothing" : one.param); });

TEST(Scope, follows_a_cgroup) {
  const TempDir temp;
  const std::string log = temp / "log";
  const Cgroup cgroup("scope");
  if (cgroup.path().empty()) GTEST_SKIP() << "no cgroup2 mount in which a cgroup may be made";
  const Noise noise;
  Agent agent(run_with({"--scope", "cgroup:" + cgroup.path()}));
  ASSERT_TRUE(agent.wait_for_output("sensor_started", patience(30)));
  Process inside({workload("in_cgroup"), log, cgroup.path(), "/bin/sh", "-c", "/bin/true inside; exit 23"});
  inside.end();
  ::usleep(in_vm() ? 2000000 : 300000);
  agent.send_signal(SIGTERM);
  const auto outcome = agent.finish();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto stream = parse_stream(outcome.out, in_the_middle);
  report(stream);
  // The shell came in from outside (no fork), its child was born inside.
  const auto shell = lines(log, "end").at(0).at("pid").get<std::int64_t>();
  ASSERT_EQ(stream.of("exec").size(), 2U) << outcome.out;
  ASSERT_EQ(stream.of("exec", shell).size(), 1U);
  ASSERT_EQ(stream.of("exit", shell).size(), 1U);
  EXPECT_EQ(at(stream.of("exit", shell)[0], "process.exit_code"), 23);
  EXPECT_EQ(stream.of("fork").size(), 1U);
  for (const auto& event : stream.events) {
    if (!is_process_event(event)) continue;
    EXPECT_EQ(text_at(event, "nightjar.cgroup.path"), cgroup.name()) << event;
  }
}

/// What an agent told, by action and process, each with how often.
std::map<std::pair<std::string, std::string>, int> told_by(const Stream& stream) {
  std::map<std::pair<std::string, std::string>, int> told;
  for (const auto& event : stream.events) {
    if (is_process_event(event) && action_of(event) != "process_snapshot")
      ++told[{action_of(event), text_at(event, "process.entity_id")}];
  }
  return told;
}

// Two agents beside each other: each is complete, and both tell the same.
TEST(Scope, of_two_agents_shows_both_the_whole_storm) {
  SKIP_WHERE_PREEMPTED();
  const TempDir temp;
  const int count = scaled(2003, 211);
  Process storm({"/bin/sh", "-c", "read go; exec \"$@\"", "sh", workload("exec_storm"), "/dev/null", "2",
                 std::to_string(count), workload("tiny"), "1"});
  const Strings files{temp / "first", temp / "second"};
  std::vector<std::unique_ptr<Agent>> agents;
  for (const auto& file : files)
    agents.push_back(std::make_unique<Agent>(
        run_with({"--scope", "tree:" + std::to_string(storm.pid()), "--output", "file:" + file})));
  for (const auto& file : files) {
    for (int i = 0; i < 600 && read_file(file).find("process_snapshot") == std::string::npos; i++) ::usleep(100000);
  }
  storm.end();
  ::usleep(in_vm() ? 3000000 : 500000);
  std::vector<std::map<std::pair<std::string, std::string>, int>> told;
  for (std::size_t i = 0; i < agents.size(); i++) {
    agents[i]->send_signal(SIGTERM);
    const auto outcome = agents[i]->finish();
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    const auto stream = parse_stream(read_file(files[i]), in_the_middle);
    report(stream);
    EXPECT_EQ(stream.of("exec").size(), static_cast<std::size_t>(count) + 1);
    EXPECT_EQ(stream.of("exit").size(), static_cast<std::size_t>(count) + 3);
    told.push_back(told_by(stream));
  }
  EXPECT_EQ(told[0], told[1]);
}

TEST(Scope, ends_with_status_0_and_the_last_event_on_both_signals) {
  for (const int number : {SIGINT, SIGTERM}) {
    Process tree({workload("tree"), "/dev/null", workload("tiny")});
    Agent agent(run_with({"--scope", "tree:" + std::to_string(tree.pid())}));
    ASSERT_TRUE(agent.wait_for_output("sensor_started", patience(30)));
    agent.send_signal(number);
    const auto outcome = agent.finish();
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    report(parse_stream(outcome.out, in_the_middle));
  }
}

}  // namespace
}  // namespace nightjar::test
