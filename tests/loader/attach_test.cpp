// SPDX-License-Identifier: Apache-2.0
// Each kind of program, attached and fired.
#include <string_view>

#include <sched.h>

#include <sys/syscall.h>

#include "support.hpp"

namespace nightjar::test {
namespace {

void call_getppid() {
  (void)::syscall(SYS_getppid);
}

/// Loads, runs `fire` twice, and expects counters[key] to be 2.
void expect_fires(const Program& program, std::uint32_t key, void (*fire)(), const std::string& hook) {
  const auto loaded = load(ProgramVersion("v", {program}));
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->programs()[0].hook, hook);
  const auto counters = loaded->map("counters");
  ASSERT_OK(counters);
  fire();
  fire();
  EXPECT_EQ(counter(*counters, key), 2U);
}

#if defined(__x86_64__)
constexpr std::string_view getppid_hook = "__x64_sys_getppid";
#else
constexpr std::string_view getppid_hook = "__arm64_sys_getppid";
#endif

TEST(Attach, RawTracepoint) {
  NEEDS(raw_tracepoint);
  expect_fires(Program("on_rename_raw"), 1, rename_self, "raw_tp/task_rename");
}

TEST(Attach, RawTracepointTriesItsPointsInTurn) {
  NEEDS(raw_tracepoint);
  expect_fires(Program("on_rename_raw", {"no_such_tracepoint", "task_rename"}), 1, rename_self, "raw_tp/task_rename");
}

TEST(Attach, TypedTracepoint) {
  NEEDS(tp_btf);
  expect_fires(Program("on_rename_btf"), 2, rename_self, "tp_btf/task_rename");
}

TEST(Attach, TypedTracepointTriesItsPointsBeforeLoad) {
  NEEDS(tp_btf);
  expect_fires(Program("on_rename_btf", {"no_such_tracepoint", "task_rename"}), 2, rename_self, "tp_btf/task_rename");
  // Its section names a tracepoint that does not exist.
  EXPECT_OK(load(ProgramVersion("v", {Program("on_missing_btf", {"no_such_either", "task_rename"})})));
}

TEST(Attach, RawTracepointLoadedAsTyped) {
  NEEDS(tp_btf);
  expect_fires(Program("on_rename_raw").kind(ProgramKind::tp_btf), 1, rename_self, "tp_btf/task_rename");
}

TEST(Attach, TracepointWithoutAMountedTracefs) {
  NEEDS(tracepoint);
  const auto mounts = file_bytes("/proc/self/mountinfo");
  expect_fires(Program("on_rename_tracepoint"), 3, rename_self, "tracepoint/task/task_rename");
  EXPECT_EQ(file_bytes("/proc/self/mountinfo"), mounts);
}

TEST(Attach, TracepointFiresOnEveryCpu) {
  NEEDS(tracepoint);
  cpu_set_t old;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(old), &old), 0);
  const auto loaded = load(ProgramVersion("v", {Program("on_rename_tracepoint")}));
  ASSERT_OK(loaded);
  unsigned cpus = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(static_cast<unsigned>(cpu), &old)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(cpu), &one);
    if (::sched_setaffinity(0, sizeof(one), &one) != 0) continue;
    rename_self();
    ++cpus;
  }
  ::sched_setaffinity(0, sizeof(old), &old);
  EXPECT_EQ(counter(*loaded->map("counters"), 3), cpus) << "once for each CPU, not more (the seed's bug)";
}

TEST(Attach, MissingTracepoint) {
  NEEDS(tracepoint);
  const auto loaded = load(ProgramVersion("v", {Program("on_rename_tracepoint", {"task/no_such_tracepoint"})}));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), errc::unsupported);
  EXPECT_NE(to_string(loaded.error()).find("task/no_such_tracepoint"), std::string::npos);
}

TEST(Attach, KprobeOnASyscall) {
  NEEDS(kprobe);
  expect_fires(Program("on_getppid", {"sys_getppid"}).syscall(), 5, call_getppid,
               "kprobe/" + std::string(getppid_hook));
}

TEST(Attach, KretprobeOnASyscall) {
  NEEDS(kprobe);
  expect_fires(Program("on_getppid_return", {"getppid"}).syscall(), 6, call_getppid,
               "kretprobe/" + std::string(getppid_hook));
}

TEST(Attach, KindCanBeOverridden) {
  NEEDS(kprobe);
  expect_fires(Program("on_getppid", {"getppid"}).syscall().kind(ProgramKind::kretprobe), 5, call_getppid,
               "kretprobe/" + std::string(getppid_hook));
}

TEST(Attach, AllPointsOrNone) {
  NEEDS(kprobe);
  const auto both = load(ProgramVersion("v", {Program("on_getppid", {"getppid", "getpgid"}).syscall().all_points()}));
  ASSERT_OK(both);
  EXPECT_NE(both->programs()[0].hook.find(','), std::string::npos) << both->programs()[0].hook;
  call_getppid();
  (void)::syscall(SYS_getpgid, 0);
  EXPECT_EQ(counter(*both->map("counters"), 5), 2U);

  const auto one_missing =
      load(ProgramVersion("v", {Program("on_getppid", {"getppid", "no_such_call"}).syscall().all_points()}));
  ASSERT_FALSE(one_missing);
  EXPECT_EQ(one_missing.error().code(), errc::unsupported);
}

TEST(Attach, MissingFunction) {
  NEEDS(kprobe);
  const auto loaded = load(ProgramVersion("v", {Program("on_getppid", {"no_such_function_here"})}));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), errc::unsupported);
  EXPECT_NE(to_string(loaded.error()).find("no_such_function_here"), std::string::npos) << to_string(loaded.error());
}

TEST(Attach, FunctionEntry) {
  NEEDS(fentry);
  const auto loaded = load(ProgramVersion("v", {Program("on_fentry")}));
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->programs()[0].hook, "fentry/bpf_fentry_test1");
}

TEST(Attach, RefusedFunctionEntryIsUnsupportedNotDenied) {
  Features features;
  if (features.has(Feature::fentry)) GTEST_SKIP() << "this kernel has fentry";
  const auto loaded = load(ProgramVersion("v", {Program("on_fentry")}));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), errc::unsupported) << to_string(loaded.error());
}

}  // namespace
}  // namespace nightjar::test
