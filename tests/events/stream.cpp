// SPDX-License-Identifier: Apache-2.0
// The stream as a whole. What holds of every stream (sequence, order, types, ids) is checked by parse_stream() on each
// run of every test; here is what one plain run must show on top.
#include <algorithm>
#include <set>

#include <unistd.h>

#include "harness.hpp"

namespace nightjar::test {
namespace {

// The acceptance of the first release: exactly the forks, execs and exits of that tree.
TEST(Stream, shows_exactly_the_tree_of_a_shell_with_one_child) {
  const auto watched = watch_command({"/bin/sh", "-c", "echo hi; /bin/true; exit 7"});
  EXPECT_EQ(watched.outcome.status, 7);
  const auto execs = watched.stream.of("exec");
  ASSERT_EQ(execs.size(), 2U) << watched.outcome.out;
  EXPECT_EQ(args_of(execs[0]), (Strings{"/bin/sh", "-c", "echo hi; /bin/true; exit 7"}));
  EXPECT_EQ(args_of(execs[1]), (Strings{"/bin/true"}));
  const auto shell = at(execs[0], "process.pid").get<std::int64_t>();
  const auto child = at(execs[1], "process.pid").get<std::int64_t>();
  EXPECT_EQ(at(execs[1], "process.parent.pid"), shell);
  EXPECT_EQ(at(execs[1], "process.parent.entity_id"), at(execs[0], "process.entity_id"));
  EXPECT_EQ(at(watched.only("fork", child), "process.parent.pid"), shell);
  EXPECT_EQ(at(watched.only("exit", child), "process.exit_code"), 0);
  EXPECT_EQ(at(watched.only("exit", shell), "process.exit_code"), 7);
  std::set<std::int64_t> pids;
  for (const auto& event : watched.stream.events) {
    if (is_process_event(event)) pids.insert(at(event, "process.pid").get<std::int64_t>());
  }
  EXPECT_EQ(pids, (std::set<std::int64_t>{shell, child}));
}

TEST(Stream, leaves_stdout_to_events_when_the_command_writes) {
  const auto watched = watch_command({"/bin/sh", "-c", "echo to-stdout; echo to-stderr >&2"});
  EXPECT_EQ(watched.outcome.out.find("to-stdout\n"), std::string::npos);
  EXPECT_NE(watched.outcome.err.find("to-stdout\n"), std::string::npos) << watched.outcome.err;
  EXPECT_NE(watched.outcome.err.find("to-stderr\n"), std::string::npos) << watched.outcome.err;
}

TEST(Stream, ends_only_when_the_last_of_the_tree_has_ended) {
  const auto watched = watch_command({"/bin/sh", "-c", "(sleep 1; exit 31) & exit 5"});
  EXPECT_EQ(watched.outcome.status, 5);
  EXPECT_GE(watched.outcome.wall.count(), 1000);
  bool seen = false;
  for (const auto& event : watched.stream.of("exit")) seen |= at(event, "process.exit_code") == 31;
  EXPECT_TRUE(seen) << "the exit of the process that outlived COMMAND";
}

TEST(Stream, names_the_machine_as_the_kernel_does) {
  const auto watched = watch_command({workload("tiny"), "0"});
  std::string boot = read_file("/proc/sys/kernel/random/boot_id");
  boot.resize(boot.find('\n'));
  std::string machine = read_file("/etc/machine-id");
  machine.resize(std::min(machine.size(), machine.find('\n')));
  char name[256] = "";
  ::gethostname(name, sizeof(name) - 1);
  for (const auto& event : watched.stream.events) {
    EXPECT_EQ(text_at(event, "host.boot.id"), boot);
    EXPECT_EQ(text_at(event, "host.hostname"), name);
    if (!machine.empty()) {
      EXPECT_EQ(text_at(event, "host.id"), machine);
    }
  }
}

TEST(Stream, says_at_the_start_what_is_covered_and_by_which_hook) {
  const auto watched = watch_command({workload("tiny"), "0"});
  ASSERT_FALSE(watched.stream.events.empty());
  const json& coverage = at(watched.stream.events.front(), "nightjar.coverage");
  for (const auto* name : {"exec", "fork", "exit"}) {
    const std::string state = text_at(coverage, std::string(name) + ".state");
    EXPECT_TRUE(state == "active" || state == "degraded") << name << " in " << coverage;
    EXPECT_TRUE(state == "active" || at(coverage, std::string(name) + ".reason").is_string()) << coverage;
    const std::string hook = text_at(coverage, std::string(name) + ".hook");
    for (const auto& event : watched.stream.of(name)) EXPECT_EQ(text_at(event, "nightjar.hook"), hook) << name;
  }
}

TEST(Stream, leaves_no_field_incomplete_when_nothing_is_in_the_way) {
  const auto watched = watch_command({"/bin/sh", "-c", "/bin/true; /bin/true"});
  for (const auto& event : watched.stream.events) {
    EXPECT_TRUE(at(event, "nightjar.incomplete").is_null()) << event;
    EXPECT_TRUE(at(event, "nightjar.truncated").is_null()) << event;
    EXPECT_TRUE(at(event, "nightjar.raw").is_null()) << event;
  }
}

// ECS: the categories and types of process events.
TEST(Stream, classifies_process_events_as_ecs_says) {
  const auto watched = watch_command({"/bin/sh", "-c", "/bin/true; exit 0"});
  for (const auto& [action, type] :
       {std::pair("fork", "start"), std::pair("exec", "start"), std::pair("exit", "end")}) {
    ASSERT_FALSE(watched.stream.of(action).empty()) << action;
    for (const auto& event : watched.stream.of(action)) {
      EXPECT_EQ(at(event, "event.kind"), "event");
      EXPECT_TRUE(has_element(at(event, "event.category"), "process")) << event;
      EXPECT_TRUE(has_element(at(event, "event.type"), type)) << event;
    }
  }
}

TEST(Stream, shows_only_the_asked_for_events_and_the_sensor_own) {
  const auto watched = watch_command({"/bin/sh", "-c", "/bin/true; /bin/true; exit 0"},
                                     {.options = {"--events", "exec"}, .expected = {.whole_trees = false}});
  EXPECT_EQ(watched.stream.of("exec").size(), 3U);
  EXPECT_EQ(watched.stream.of("fork").size() + watched.stream.of("exit").size(), 0U);
}

TEST(Stream, takes_two_watches_at_once_and_neither_sees_the_other) {
  Launch launch;
  launch.arguments = {"watch"};
  for (const auto& option : tier_options()) launch.arguments.push_back(option);
  launch.arguments.insert(launch.arguments.end(), {"--events", "process", "--", "/bin/sh", "-c"});
  auto one = launch;
  auto two = launch;
  one.arguments.emplace_back("for i in 1 2 3 4 5 6 7; do /bin/true one; done; exit 3");
  two.arguments.emplace_back("for i in 1 2 3 4 5 6 7; do /bin/true two; done; exit 4");
  Agent first(one);
  Agent second(two);
  const auto outcome_one = first.finish();
  const auto outcome_two = second.finish();
  EXPECT_EQ(outcome_one.status, 3) << outcome_one.err;
  EXPECT_EQ(outcome_two.status, 4) << outcome_two.err;
  for (const auto& [outcome, mine] : {std::pair(&outcome_one, "one"), std::pair(&outcome_two, "two")}) {
    const auto stream = parse_stream(outcome->out, {});
    for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
    const auto execs = stream.of("exec");
    ASSERT_EQ(execs.size(), 8U);
    for (std::size_t i = 1; i < execs.size(); i++) EXPECT_EQ(args_of(execs[i]), (Strings{"/bin/true", mine}));
  }
}

}  // namespace
}  // namespace nightjar::test
