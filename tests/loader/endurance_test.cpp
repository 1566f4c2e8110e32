// SPDX-License-Identifier: Apache-2.0
// What goes wrong only after long, or under load. NIGHTJAR_CYCLES=100000 runs the first for long, and prints figures.
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

#include <bpf/bpf.h>
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

/// Maps in the kernel, of whatever process, whose names begin so.
std::size_t maps_called(std::string_view prefix) {
  std::size_t count = 0;
  std::uint32_t id = 0;
  while (::bpf_map_get_next_id(id, &id) == 0) {
    const UniqueFd map(::bpf_map_get_fd_by_id(id));
    bpf_map_info info{};
    std::uint32_t size = sizeof(info);
    if (!map.valid() || ::bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0) continue;
    count += std::string_view(info.name, ::strnlen(info.name, sizeof(info.name))).starts_with(prefix) ? 1 : 0;
  }
  return count;
}

/// A BTF of one int. libbpf reads all of the kernel's for an object with relocations, which takes ten times as long as
/// everything else; the programs that are loaded here have none.
std::vector<std::byte> small_btf() {
  struct {
    std::uint16_t magic = 0xEB9F;
    std::uint8_t version = 1, flags = 0;
    std::uint32_t header = 24, type_off = 0, type_len = 16, str_off = 16, str_len = 8;
    std::uint32_t name = 1, info = 1U << 24, size = 4, encoding = 32;
    char strings[8] = {0, 'i', 'n', 't'};
  } const types;
  return bytes_of(types);
}

TEST(Endurance, LoadingAndUnloadingLeaksNothing) {
  const char* wanted = ::getenv("NIGHTJAR_CYCLES");
  const int cycles = wanted != nullptr ? std::atoi(wanted) : in_a_guest() ? 30 : 150;
  // libbpf names the maps of constants after the object, so these are this process's. The kernel keeps a map for as
  // long as a program that uses it, and a program for as long as a link.
  const std::string mine = "e" + std::to_string(::getpid());
  const auto named = ProgramBlueprint::from_bytes(blueprint().bytes(), mine);
  ASSERT_OK(named);
  const auto versions = failing_and_working();
  const auto types = small_btf();
  const auto cycle = [&](int number) {
    GroupOptions options = only_me();
    if (number % 50 != 0) options.btf_bytes = types;
    const auto loaded = ProgramGroup(options).load(named, versions);
    return loaded.has_value();
  };
  {
    const auto loaded = ProgramGroup(only_me()).load(named, versions);
    ASSERT_OK(loaded);
    EXPECT_GT(maps_called(mine), 0U) << "what is left would not be seen";
  }
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(cycle(i));  // what is made once is made now
  const auto descriptors = open_descriptors();
  const std::size_t before = resident_kib();
  for (int i = 0; i < cycles; ++i) ASSERT_TRUE(cycle(i)) << "cycle " << i;
  EXPECT_EQ(open_descriptors(), descriptors);
  const std::size_t after = resident_kib();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // The allocator's own ups and downs are less than that. In 100,000 cycles, 42 bytes lost in each would show.
  EXPECT_LT(after, before + (cycles > 1000 ? 4096 : 1024));
#endif
  for (int i = 0; i < 100 && maps_called(mine) != 0; ++i) std::this_thread::sleep_for(100ms);  // freed a little later
  EXPECT_EQ(maps_called(mine), 0U);
  if (wanted != nullptr) {
    std::printf("%d cycles: resident %zu kB before, %zu kB after; %zu descriptors\n", cycles, before, after,
                descriptors.size());
  }
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
