// SPDX-License-Identifier: Apache-2.0
// With buffers far too small: sent + lost = happened, exactly, for each class.
#include <map>

#include "harness.hpp"

namespace nightjar::test {
namespace {

using Counts = std::map<std::string, std::int64_t>;

Counts sent_and_lost(const Stream& stream, std::int64_t& lost) {
  Counts counts;
  for (const auto& event : stream.events) {
    const std::string action = action_of(event);
    if (action == "events_lost") {
      const auto count =
          at(event, "nightjar.lost.count").is_number() ? at(event, "nightjar.lost.count").get<std::int64_t>() : 0;
      EXPECT_GT(count, 0) << event;
      counts[text_at(event, "nightjar.lost.class")] += count;
      lost += count;
    } else if (!action.starts_with("sensor_")) {
      counts[action]++;
    }
  }
  return counts;
}

// COMMAND's own fork is the agent's doing: it may be seen or not.
void expect_counts(Counts told, Counts truth) {
  const auto extra = told["fork"] - truth["fork"];
  EXPECT_TRUE(extra == 0 || extra == 1) << "fork: " << told["fork"] << " told, " << truth["fork"] << " made by COMMAND";
  told.erase("fork");
  truth.erase("fork");
  EXPECT_EQ(told, truth);
}

const Watch tiny_buffers = {
    .options = {"--events", "process", "--buffer", "4096"}, .expected = {.losses = true}, .timeout = patience(120)};

TEST(Losses, are_counted_exactly_in_a_fork_storm) {
  SKIP_WHERE_PREEMPTED();
  const int count = scaled(10007, 211);
  const auto watched = watch("fork_storm", {"@LOG", "2", std::to_string(count)}, tiny_buffers);
  ASSERT_EQ(watched.truths("child").size(), static_cast<std::size_t>(count));
  std::int64_t lost = 0;
  const auto counts = sent_and_lost(watched.stream, lost);
  // Two parents; COMMAND itself has an exec and an exit.
  expect_counts(counts, {{"fork", count + 2}, {"exec", 1}, {"exit", count + 3}});
  EXPECT_TRUE(in_vm() || lost > 0) << "the storm was no storm: this run shows nothing";
  ::testing::Test::RecordProperty("lost", std::to_string(lost));
}

TEST(Losses, are_counted_exactly_in_an_exec_storm) {
  SKIP_WHERE_PREEMPTED();
  const int count = scaled(10007, 211);
  const auto watched = watch("exec_storm", {"@LOG", "2", std::to_string(count), workload("tiny"), "1"}, tiny_buffers);
  ASSERT_EQ(watched.truths("start").size(), static_cast<std::size_t>(count));
  std::int64_t lost = 0;
  const auto counts = sent_and_lost(watched.stream, lost);
  expect_counts(counts, {{"fork", count + 2}, {"exec", count + 1}, {"exit", count + 3}});
  EXPECT_TRUE(in_vm() || lost > 0) << "the storm was no storm: this run shows nothing";
  ::testing::Test::RecordProperty("lost", std::to_string(lost));
}

// An argv that is larger than the whole buffer cannot arrive: the exec is lost, or it says what it lacks.
TEST(Losses, are_told_when_one_argv_is_larger_than_the_buffer) {
  const auto watched = watch("exec_args", {"@LOG", workload("report"), "many", "131072"}, tiny_buffers);
  std::int64_t lost = 0;
  auto counts = sent_and_lost(watched.stream, lost);
  EXPECT_GT(lost, 0);
  const auto pid = watched.truth("report").at("pid").get<std::int64_t>();
  for (const auto& event : watched.stream.of("exec", pid)) {
    const bool marked = at(event, "nightjar.truncated").contains("process.args") ||
                        has_element(at(event, "nightjar.incomplete"), "process.args");
    EXPECT_TRUE(marked) << event.dump().substr(0, 500);
  }
  // What else is counted (parts of records) is no event.
  std::erase_if(counts,
                [](const auto& one) { return one.first != "fork" && one.first != "exec" && one.first != "exit"; });
  expect_counts(counts, {{"fork", 1}, {"exec", 2}, {"exit", 2}});
}

// What is told of a loss: which class, why, when.
TEST(Losses, are_described) {
  const auto watched = watch("fork_storm", {"@LOG", "2", std::to_string(scaled(10007, 211))}, tiny_buffers);
  for (const auto& event : watched.stream.of("events_lost")) {
    EXPECT_TRUE(at(event, "nightjar.lost.reason").is_string()) << event;
    EXPECT_TRUE(at(event, "nightjar.lost.cpu").is_number()) << event;
    EXPECT_FALSE(at(event, "nightjar.lost.first").is_null()) << event;
    EXPECT_FALSE(at(event, "nightjar.lost.last").is_null()) << event;
  }
}

}  // namespace
}  // namespace nightjar::test
