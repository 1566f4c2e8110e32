// SPDX-License-Identifier: Apache-2.0
// Latent bugs that a reading of oxidebpf found, one test each where no other file has it: docs/oxidebpf.md lists all.
#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include <fcntl.h>
#include <sched.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "nightjar/event_poller.hpp"
#include "nightjar/event_source.hpp"
#include "nightjar/privileges.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

/// Runs `check` in a child that is nobody; its answer.
template <class F>
bool holds_without_privileges(F check) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool dropped = ::setresgid(65534, 65534, 65534) == 0 && ::setresuid(65534, 65534, 65534) == 0;
    ::_exit(dropped && check() ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

/// Mappings of this process that are of perf events.
std::size_t perf_mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find("perf_event") != std::string::npos ? 1 : 0;
  return count;
}

TEST(SeedBugs, N3_APointThatFailsTakesItsSiblingsOff) {
  const auto donor = load(ProgramVersion("donor", {Program("on_rename_raw")}));
  ASSERT_OK(donor);
  const auto counters = donor->map("counters");
  ASSERT_OK(counters);
  GroupOptions options = only_me();
  options.maps["counters"].share = &*counters;
  const auto before = open_descriptors();
  const auto half = load(
      ProgramVersion("half", {Program("on_rename_raw", {"task_rename", "no_such_tracepoint"}).all_points()}), options);
  ASSERT_FALSE(half);
  EXPECT_EQ(open_descriptors(), before);
  rename_self();
  EXPECT_EQ(counter(*counters, 1), 1U) << "the donor counts once, half a program counted too";
}

TEST(SeedBugs, N4_TheMountNamespaceIsNeverChanged) {
  const std::string before = std::filesystem::read_symlink("/proc/self/ns/mnt");
  for (const ProbeWay way : {ProbeWay::automatic, ProbeWay::tracefs}) {
    GroupOptions options = only_me();
    options.probes = way;
    (void)load(ProgramVersion("v", {Program("on_user_function", {"libc.so.6:no_such_function"}).pid(1)}), options);
    (void)load(ProgramVersion("v", {Program("on_user_function", {"libc.so.6:getppid"}).pid(::getpid())}), options);
    EXPECT_EQ(std::filesystem::read_symlink("/proc/self/ns/mnt"), before);
  }
}

TEST(SeedBugs, N6_PerfBuffersAreCloseOnExecAndUnmapped) {
  GroupOptions options = only_me();
  options.maps["events"].type = BPF_MAP_TYPE_PERF_EVENT_ARRAY;
  const auto loaded = load(ProgramVersion("v", {Program("send_burst")}).set("through_perf", true), options);
  ASSERT_OK(loaded);
  const auto before = open_descriptors();
  const std::size_t mapped = perf_mappings();
  for (int round = 0; round < 10; ++round) {
    const auto source = EventSource::open(*loaded->map("events"), {.bytes_per_cpu = 4096});
    ASSERT_OK(source);
    EXPECT_GT(perf_mappings(), mapped);
    for (const auto& [fd, target] : open_descriptors()) {
      if (!before.contains(fd)) {
        EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << target;
      }
    }
  }
  EXPECT_EQ(perf_mappings(), mapped);
}

TEST(SeedBugs, N7_CapabilitiesAreReadWhole) {
  EXPECT_TRUE(holds_without_privileges([] {
    const auto refused = check_privileges();
    return !refused && refused.error().code() == errc::denied &&
           refused.error().what().find("CAP_BPF and CAP_PERFMON") != std::string::npos;
  }));
  EXPECT_OK(check_privileges());
}

TEST(SeedBugs, N8_ANegativeNiceValueIsNoError) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto done = set_scheduling(Scheduling::other(-1));
    ::_exit(done && ::getpriority(PRIO_PROCESS, 0) == -1 ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(SeedBugs, N13_NamesAreSeenInTheKernel) {
  const auto loaded = load(ProgramVersion("v", {Program("on_rename_raw")}));
  ASSERT_OK(loaded);
  bpf_prog_info info{};
  std::uint32_t size = sizeof(info);
  ASSERT_EQ(::bpf_obj_get_info_by_fd(loaded->programs()[0].fd, &info, &size), 0);
  EXPECT_EQ(std::string_view(info.name, ::strnlen(info.name, sizeof(info.name))), "on_rename_raw");
  UniqueFd copy(::fcntl(loaded->map("counters")->fd(), F_DUPFD_CLOEXEC, 3));
  EXPECT_EQ(Map::from_fd(std::move(copy))->name(), "counters");
}

TEST(SeedBugs, N16_ABlueprintNeedsNoPrivilegeWhateverItsVersionSays) {
  const std::vector<std::byte> bytes(blueprint().bytes().begin(), blueprint().bytes().end());
  EXPECT_TRUE(holds_without_privileges([&] { return ProgramBlueprint::from_bytes(bytes, "any").has_value(); }));
}

TEST(SeedBugs, MemlockIsSetBackWhenTheLoadFails) {  // fixed in the seed once, and dropped later
  const auto before = memlock_limit();
  ASSERT_OK(before);
  GroupOptions options = only_me();
  options.memlock_bytes = 1U << 20;  // below any hard limit: raising that is a privilege of its own
  EXPECT_FALSE(load(ProgramVersion("bad", {Program("on_missing_raw")}), options));
  EXPECT_EQ(memlock_limit().value(), *before);
  EXPECT_OK(load(ProgramVersion("good", {Program("on_rename_raw")}), options));
  EXPECT_EQ(memlock_limit().value(), 1U << 20);
  EXPECT_OK(set_memlock_limit(*before));
}

TEST(SeedBugs, TypesFromMemoryAreUsed) {
  NEEDS(tp_btf);
  const auto kernel_types = file_bytes("/sys/kernel/btf/vmlinux");
  GroupOptions options = only_me();
  options.btf_bytes = kernel_types;
  const auto before = open_descriptors();
  EXPECT_OK(load(ProgramVersion("v", {Program("on_rename_btf")}), options));
  EXPECT_EQ(open_descriptors(), before);
  const std::vector<std::byte> nonsense(100);
  options.btf_bytes = nonsense;
  const auto refused = load(ProgramVersion("v", {Program("on_rename_btf")}), options);
  ASSERT_FALSE(refused);
  EXPECT_NE(to_string_verbose(refused.error()).find("BTF"), std::string::npos) << to_string_verbose(refused.error());
}

TEST(SeedBugs, WithoutPrivilegesTheMissingOnesAreNamed) {
  EXPECT_TRUE(holds_without_privileges([] {
    const auto refused = load(ProgramVersion("v", {Program("on_rename_raw")}));
    return !refused && refused.error().code() == errc::denied &&
           to_string(refused.error()).find("CAP_BPF") != std::string::npos;
  }));
}

}  // namespace
}  // namespace nightjar::test
