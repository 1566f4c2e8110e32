// SPDX-License-Identifier: Apache-2.0
// Thousands of short-lived processes on all CPUs, with the buffers as they are by default: nothing is lost, nothing is
// told twice, everything is in order. P16, P17, P21, P30.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <thread>

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

/// Takes a CPU away and gives it back, again and again.
class CpuThatComesAndGoes {
 public:
  CpuThatComesAndGoes()
      : thread_([this] {
          while (!over_) {
            put('0');
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            put('1');
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            ++rounds_;
          }
        }) {}
  CpuThatComesAndGoes(const CpuThatComesAndGoes&) = delete;
  CpuThatComesAndGoes& operator=(const CpuThatComesAndGoes&) = delete;
  ~CpuThatComesAndGoes() { stop(); }
  static bool possible() { return std::ofstream(control).is_open(); }
  int stop() {
    over_ = true;
    if (thread_.joinable()) thread_.join();
    return rounds_;
  }

 private:
  static constexpr const char* control = "/sys/devices/system/cpu/cpu1/online";
  static void put(char state) { std::ofstream(control) << state << std::flush; }
  std::atomic<bool> over_ = false;
  std::atomic<int> rounds_ = 0;
  std::thread thread_;
};

// A ring buffer is all CPUs': nothing is lost. A perf buffer goes with its CPU, and is opened anew when that comes
// back: what is sent before that is counted.
TEST(Storms, account_for_each_exec_while_a_cpu_comes_and_goes) {
  SKIP_WHERE_PREEMPTED();
  if (!has_machine_alone())
    GTEST_SKIP() << "NIGHTJAR_TEST_WHOLE_MACHINE is not 1: this takes a CPU away from the whole machine";
  if (!CpuThatComesAndGoes::possible()) GTEST_SKIP() << "there is no second CPU that can be unplugged";
  const auto options = tier_options();
  const bool perf = std::find(options.begin(), options.end(), "perf") != options.end();
  CpuThatComesAndGoes cpu;
  const auto watched = watch("exec_storm", {"@LOG", "2", std::to_string(storm), workload("tiny"), "1"},
                             {.expected = {.losses = perf, .whole_trees = !perf}, .timeout = patience(240)});
  EXPECT_GE(cpu.stop(), 3);
  ASSERT_EQ(watched.truths("start").size(), static_cast<std::size_t>(storm));
  std::map<std::string, std::int64_t> told;
  for (const auto& event : watched.stream.events) {
    if (action_of(event) == "events_lost") {
      told[text_at(event, "nightjar.lost.class")] += at(event, "nightjar.lost.count").get<std::int64_t>();
    } else {
      ++told[action_of(event)];
    }
  }
  // COMMAND's own exec; its and its two parents' exits.
  EXPECT_EQ(told["exec"], storm + 1);
  EXPECT_EQ(told["exit"], storm + 3);
  auto events = by_pid(watched.stream);
  for (const auto& child : watched.truths("start")) {
    if (perf) break;
    ASSERT_EQ(actions_of(events[child.at("pid").get<std::int64_t>()]), (Strings{"fork", "exec", "exit"})) << child;
  }
}

}  // namespace
}  // namespace nightjar::test
