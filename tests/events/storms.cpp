// SPDX-License-Identifier: Apache-2.0
// Thousands of short-lived processes on all CPUs, with the buffers as they are by default: nothing is lost, nothing is
// told twice, everything is in order. P16, P17, P21, P30.
#include <map>

#include "harness.hpp"

namespace nightjar::test {
namespace {

const int storm = scaled(10007, 211);

// All events of one pid, in the order of the stream. No pid comes twice in so short a time.
std::map<std::int64_t, std::vector<const json*>> by_pid(const Stream& stream) {
  std::map<std::int64_t, std::vector<const json*>> all;
  for (const auto& event : stream.events) {
    if (is_process_event(event)) all[at(event, "process.pid").get<std::int64_t>()].push_back(&event);
  }
  return all;
}

Strings actions_of(const std::vector<const json*>& events) {
  Strings actions;
  for (const auto* event : events) actions.push_back(action_of(*event));
  return actions;
}

TEST(Storms, loses_no_fork_and_no_exit) {
  SKIP_WHERE_PREEMPTED();
  const auto watched = watch("fork_storm", {"@LOG", "2", std::to_string(storm)}, {.timeout = patience(120)});
  const auto children = watched.truths("child");
  ASSERT_EQ(children.size(), static_cast<std::size_t>(storm));
  auto events = by_pid(watched.stream);
  for (const auto& child : children) {
    const auto& own = events[child.at("pid").get<std::int64_t>()];
    ASSERT_EQ(actions_of(own), (Strings{"fork", "exit"})) << child;
    ASSERT_EQ(at(*own[0], "process.parent.pid"), child.at("ppid")) << child;
    ASSERT_EQ(at(*own[1], "process.exit_code"), child.at("code")) << child;
  }
  // Nobody else: the children, the two parents, COMMAND.
  EXPECT_EQ(events.size(), children.size() + 3);
}

TEST(Storms, loses_no_exec) {
  SKIP_WHERE_PREEMPTED();
  const auto watched =
      watch("exec_storm", {"@LOG", "2", std::to_string(storm), workload("tiny"), "1"}, {.timeout = patience(120)});
  const auto children = watched.truths("start");
  ASSERT_EQ(children.size(), static_cast<std::size_t>(storm));
  auto events = by_pid(watched.stream);
  for (const auto& child : children) {
    const auto& own = events[child.at("pid").get<std::int64_t>()];
    const std::string index = child.at("index").dump();
    ASSERT_EQ(actions_of(own), (Strings{"fork", "exec", "exit"})) << child;
    ASSERT_EQ(at(*own[0], "process.parent.pid"), child.at("ppid")) << child;
    ASSERT_EQ(args_of(*own[1]), (Strings{"tiny", index})) << child;
    ASSERT_EQ(text_at(*own[1], "process.executable"), workload("tiny")) << child;
    ASSERT_EQ(at(*own[2], "process.exit_code"), child.at("index").get<int>() % 256) << child;
  }
  EXPECT_EQ(events.size(), children.size() + 3);
}

// P19 under load: three execs of each process.
TEST(Storms, keeps_the_order_of_three_execs_in_each_process) {
  SKIP_WHERE_PREEMPTED();
  const int count = scaled(2003, 101);
  const auto watched =
      watch("exec_storm", {"@LOG", "2", std::to_string(count), workload("tiny"), "3"}, {.timeout = patience(120)});
  const auto children = watched.truths("start");
  ASSERT_EQ(children.size(), static_cast<std::size_t>(count));
  auto events = by_pid(watched.stream);
  for (const auto& child : children) {
    const auto& own = events[child.at("pid").get<std::int64_t>()];
    const std::string index = child.at("index").dump();
    ASSERT_EQ(actions_of(own), (Strings{"fork", "exec", "exec", "exec", "exit"})) << child;
    ASSERT_EQ(args_of(*own[1]), (Strings{"again", "--again", "2", workload("tiny"), index})) << child;
    ASSERT_EQ(args_of(*own[2]), (Strings{"again", "--again", "1", workload("tiny"), index})) << child;
    ASSERT_EQ(args_of(*own[3]), (Strings{"tiny", index})) << child;
  }
}

}  // namespace
}  // namespace nightjar::test
