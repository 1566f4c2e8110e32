// SPDX-License-Identifier: Apache-2.0
// --without FEATURE: each fallback, on one kernel. The stream is whole all the same, or the agent says with status 3
// which event cannot be had and why.
#include "cli.hpp"

namespace nightjar::test {
namespace {

class Without : public testing::TestWithParam<const char*> {};

TEST_P(Without, delivers_the_same_or_says_why_not) {
  const std::string feature = GetParam();
  const auto outcome =
      nightjar(watch_arguments({"--events", "process", "--without", feature}, {"/bin/sh", "-c", "/bin/true; exit 7"}));
  EXPECT_FALSE(outcome.timed_out);
  if (outcome.status == 3) {
    EXPECT_NE(outcome.err.find(feature), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    // These have a fallback wherever the kernel has anything at all; a forced tier or transport may rest on them.
    const bool has_fallback = feature == "task_storage" || feature == "task_iterator" || feature == "lsm";
    EXPECT_FALSE(has_fallback) << outcome.err;
    return;
  }
  EXPECT_EQ(outcome.status, 7) << outcome.err;
  const auto stream = parse_stream(outcome.out, {});
  for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
  EXPECT_EQ(stream.of("exec").size(), 2U);
  EXPECT_EQ(stream.of("exit").size(), 2U);
  // No field is guessed where the way to read it is gone.
  const std::string login = read_file("/proc/self/loginuid");
  for (const auto& event : stream.events) {
    const json& told = at(event, "nightjar.login_uid");
    EXPECT_TRUE(told.is_null() || told.dump() == login) << event;
  }
  if (feature == "tp_btf" || feature == "fentry" || feature == "kprobe") {
    for (const auto& event : stream.events) EXPECT_FALSE(text_at(event, "nightjar.hook").starts_with(feature)) << event;
  }
}

// Pretending to have no bpf(2) at all leaves nothing.
TEST(WithoutAll, bpf_or_buffers_is_status_3) {
  expect_refusal(nightjar(watch_arguments({"--without", "bpf"}, {"/bin/true"})), 3, "bpf");
  const auto outcome =
      nightjar(watch_arguments({"--without", "ring_buffer", "--without", "perf_buffer"}, {"/bin/true"}));
  EXPECT_EQ(outcome.status, 3) << outcome.err;
  EXPECT_NE(outcome.err.find("buffer"), std::string::npos) << outcome.err;
}

// Every family, whatever this kernel refuses of it, in one load: one after the other takes twice the time.
TEST(Start, loads_all_groups_as_one) {
  const std::string ballast(std::size_t{64} << 20U, 'x');  // what the parent has is none of the agent's memory
  const auto outcome = nightjar(watch_arguments({"--verbose", "--stats", "--events", "all"}, {"/bin/true"}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err.find("one group of programs after the other"), std::string::npos) << outcome.err;
  const std::string mark = "peak RSS ";
  const auto at = outcome.err.find(mark);
  ASSERT_NE(at, std::string::npos) << outcome.err;
  // 31 MB with two ring buffers; 52 when what loading took was not given back before these were mapped. Perf buffers of
  // many CPUs are larger.
  if (outcome.err.find(", ring buffer,") != std::string::npos) {
    EXPECT_LT(std::stod(outcome.err.substr(at + mark.size())), 42) << outcome.err;
  }
  EXPECT_EQ(ballast.back(), 'x');
}

INSTANTIATE_TEST_SUITE_P(Feature, Without,
                         testing::Values("bpf", "btf", "ring_buffer", "perf_buffer", "raw_tracepoint", "tp_btf",
                                         "fentry", "kprobe", "tracepoint", "task_iterator", "task_storage", "lsm"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace nightjar::test
