// SPDX-License-Identifier: Apache-2.0
// What goes wrong only after long, or under load. NIGHTJAR_CYCLES=100000 runs the first for some hours' worth.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>
#include <thread>

#include <sched.h>

#include <linux/bpf.h>
#include <sys/wait.h>

#include "support.hpp"

namespace nightjar::test {
namespace {

using namespace std::chrono_literals;

/// An emulated machine: some thirty times slower.
bool in_a_guest() {
  const char* scale = ::getenv("NIGHTJAR_TEST_SCALE");
  return scale != nullptr && std::string_view(scale) == "vm";
}

std::size_t resident_kib() {
  std::ifstream status("/proc/self/status");
  std::size_t kib = 0;
  for (std::string word; status >> word;) {
    if (word == "VmRSS:" && status >> kib) break;
  }
  return kib;
}

/// The first fails when half attached, the second works: both ways out, each time.
std::vector<ProgramVersion> failing_and_working() {
  return {ProgramVersion("fails", {Program("uses_deep"), Program("on_missing_raw")}),
          ProgramVersion("works", {Program("on_rename_raw"), Program("on_missing_raw").optional()})};
}

TEST(Endurance, LoadingAndUnloadingLeaksNothing) {
  const char* wanted = ::getenv("NIGHTJAR_CYCLES");
  const int cycles = wanted != nullptr ? std::atoi(wanted) : in_a_guest() ? 30 : 150;
  const auto versions = failing_and_working();
  const auto cycle = [&] {
    const auto loaded = ProgramGroup(only_me()).load(blueprint(), versions);
    return loaded.has_value();
  };
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(cycle());  // what is made once is made now
  const auto descriptors = open_descriptors();
  const std::size_t before = resident_kib();
  for (int i = 0; i < cycles; ++i) ASSERT_TRUE(cycle()) << "cycle " << i;
  EXPECT_EQ(open_descriptors(), descriptors);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // An eighth of a page a cycle would be a leak; the allocator's own ups and downs are less than a megabyte.
  EXPECT_LT(resident_kib(), before + 1024 + static_cast<std::size_t>(cycles) / 2);
#endif
}

class Rate : public testing::TestWithParam<bool> {};

TEST_P(Rate, TwoHundredThousandRecordsASecondAreAllRead) {
  constexpr std::uint32_t burst = 200;
  const int milliseconds = in_a_guest() ? 200 : 1000;
  GroupOptions options = only_me();
  options.maps["events"].max_entries = 1U << 24;
  options.events.bytes_per_cpu = 1U << 24;
  if (GetParam()) options.maps["events"].type = BPF_MAP_TYPE_PERF_EVENT_ARRAY;
  std::atomic<std::uint64_t> lost = 0;
  const auto handler = [&](const EventView& event) { lost += event.lost; };
  auto group = ProgramGroup(options).load(
      blueprint(), {ProgramVersion("v", {Program("send_burst")}).set("burst", burst).set("through_perf", GetParam())},
      handler);
  ASSERT_OK(group);
  cpu_set_t old;
  ::sched_getaffinity(0, sizeof(old), &old);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &old)) {
      CPU_SET(cpu, &one);
      break;
    }
  }
  ::sched_setaffinity(0, sizeof(one), &one);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < milliseconds; ++i) {
    rename_self();
    std::this_thread::sleep_until(begin + std::chrono::milliseconds(i + 1));
  }
  const auto took = std::chrono::steady_clock::now() - begin;
  ::sched_setaffinity(0, sizeof(old), &old);
  group->detach();
  ASSERT_OK(group->poller()->stop());
  EXPECT_EQ(group->poller()->delivered(), std::uint64_t{burst} * static_cast<std::uint64_t>(milliseconds));
  EXPECT_EQ(lost, 0U);
  // On a slow or busy machine the rate is told, not judged: what is tested is that nothing is lost at it.
  const double seconds = std::chrono::duration<double>(took).count();
  RecordProperty("records_per_second", std::to_string(static_cast<double>(burst) * milliseconds / seconds));
}

INSTANTIATE_TEST_SUITE_P(Both, Rate, testing::Bool(),
                         [](const auto& param) { return param.param ? std::string("perf") : std::string("ring"); });

/// What bpftool shows of programs and maps with names that only this test's version has.
std::string bpftool_view() {
  std::string all;
  for (const char* command :
       {"bpftool prog show | grep -E 'name (uses_deep|refused) '", "bpftool map show | grep -E 'name deep '"}) {
    FILE* pipe = ::popen(command, "re");
    if (pipe == nullptr) return "cannot run bpftool";
    std::array<char, 256> line{};
    while (::fgets(line.data(), line.size(), pipe) != nullptr) all += line.data();
    ::pclose(pipe);
  }
  return all;
}

/// The kernel frees some things a little later.
std::string bpftool_view_settled() {
  std::string view = bpftool_view();
  for (int i = 0; i < 30 && !view.empty(); ++i) {
    std::this_thread::sleep_for(100ms);
    view = bpftool_view();
  }
  return view;
}

TEST(Leftovers, OfAVersionWhoseThirdProgramIsRefused) {
  if (std::system("bpftool version >/dev/null 2>&1") != 0) GTEST_SKIP() << "bpftool is not installed here";
  const auto descriptors = open_descriptors();
  const auto loaded = ProgramGroup(only_me()).load(
      blueprint(), {ProgramVersion{Program("on_rename_raw"), Program("uses_deep"), Program("refused")}});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().causes()[0].code(), errc::rejected);
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(bpftool_view_settled(), "");

  {
    const auto next = ProgramGroup(only_me()).load(
        blueprint(), {ProgramVersion{Program("on_rename_raw"), Program("uses_deep"), Program("refused")},
                      ProgramVersion{Program("on_rename_raw"), Program("uses_deep")}});
    ASSERT_OK(next);
    EXPECT_EQ(next->version(), "2");
    EXPECT_NE(bpftool_view(), "") << "bpftool would not have seen what was left";
  }
  EXPECT_EQ(bpftool_view_settled(), "");
}

}  // namespace
}  // namespace nightjar::test
