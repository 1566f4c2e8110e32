// SPDX-License-Identifier: Apache-2.0
// File events against what the workload saw with stat(2): every operation, in order, nothing missing, nothing invented.
#include "file.hpp"

#include <cstdlib>

#include "cgroups.hpp"

namespace nightjar::test {
namespace {

TEST(File, reports_each_operation) {
  const auto watched = watch_files({"@LOG", "@DIR", "each"});
  SKIP_IF_TOLD(watched);
  expect_file_events(watched);
}

/// What the process still has open when it ends is told before its exit, whichever of its threads is the last.
TEST(File, reports_what_was_written_when_many_threads_end_at_once) {
  for (int times = 0; times < scaled(7, 3); ++times) {
    const auto watched = watch_files({"@LOG", "@DIR", "held"});
    SKIP_IF_TOLD(watched);
    expect_file_events(watched);
    if (testing::Test::HasFailure()) return;
  }
}

/// By a signal: it makes no call that says so.
TEST(File, reports_what_was_written_when_a_process_is_killed) {
  const auto watched = watch_files({"@LOG", "@DIR", "killed"});
  SKIP_IF_TOLD(watched);
  expect_file_events(watched);
}

/// How many operations, and from where they are drawn. A failure tells the seed.
Strings random_operations(const char* seed) {
  const char* count = std::getenv("NIGHTJAR_TEST_OPERATIONS");
  const char* other = std::getenv("NIGHTJAR_TEST_SEED");
  return {"random", other ? other : seed, count ? count : std::to_string(scaled(2003, 401))};
}

TEST(File, reports_a_thousand_random_operations) {
  for (const char* seed : {"1", "2", "3"}) {
    Strings arguments{"@LOG", "@DIR"};
    for (const auto& word : random_operations(seed)) arguments.push_back(word);
    SCOPED_TRACE("file_ops random " + arguments[3] + " " + arguments[4]);
    const auto watched = watch_files(arguments);
    SKIP_IF_TOLD(watched);
    expect_file_events(watched);
  }
}

/// On a file system of its own, in a mount namespace of its own.
Watched watch_on(const std::string& kind, const Strings& operations) {
  Strings arguments{kind, "@LOG", "@DIR", workload("file_ops"), "@LOG", "@FS"};
  arguments.insert(arguments.end(), operations.begin(), operations.end());
  Watch how;
  how.options = {"--events", "process,file"};
  return watch("on_file_system", arguments, how);
}

bool needs_a_loop_device(std::string_view kind) {
  return kind != "tmpfs" && kind != "overlay" && kind != "nested";
}

/// Seed inventory: F2, F9, F23 (nested), F7, F8 (xfs), F12, F18 (btrfs: the device that stat shows), F21 (the loop
/// devices have minor numbers above 255).
class FileSystems : public testing::TestWithParam<const char*> {};
TEST_P(FileSystems, are_told_operation_by_operation) {
  if (needs_a_loop_device(GetParam()) && !has_machine_alone())
    GTEST_SKIP() << "NIGHTJAR_TEST_WHOLE_MACHINE is not 1: this takes a loop device of the machine";
  const Strings operations = random_operations("1");
  SCOPED_TRACE(std::string(GetParam()) + ": file_ops random " + operations[1] + " " + operations[2]);
  const auto watched = watch_on(GetParam(), operations);
  SKIP_IF_TOLD(watched);
  expect_file_events(watched);
}
INSTANTIATE_TEST_SUITE_P(On, FileSystems,
                         testing::Values("tmpfs", "nested", "overlay", "ext4", "xfs", "btrfs", "btrfs_subvolume",
                                         "btrfs_snapshot"),
                         [](const auto& one) { return std::string(one.param); });

/// Seed inventory: L27. The tier tracepoint sees nothing of it, and says so.
TEST(File, reports_what_io_uring_does) {
  const auto watched = watch_files({"@LOG", "@DIR", "io_uring"});
  SKIP_IF_TOLD(watched);
  expect_file_events(watched, true);
}

/// Seed inventory: F1. What is no storage but a view of the kernel makes no file events.
TEST(File, has_no_event_in_pseudo_file_systems) {
  const Cgroup cgroup("files");
  if (cgroup.path().empty()) GTEST_SKIP() << "no cgroup2 mount in which a cgroup may be made";
  Watch how;
  how.options = {"--events", "process,file"};
  const std::string below = cgroup.path() + "/below";
  const auto watched = watch_command(
      {"/bin/sh", "-c",
       "mkdir " + below + " && chmod 700 " + below + " && echo 1 >" + below + "/cgroup.max.depth && rmdir " + below +
           " && echo 5 >/proc/self/oom_score_adj && : >/dev/null"},
      how);
  EXPECT_EQ(watched.outcome.status, 0) << watched.outcome.err;
  EXPECT_EQ(watched.stream.of("exit").size(), 4U);  // the shell, mkdir, chmod and rmdir: they were watched
  for (const json& event : watched.stream.events) {
    const std::string path = bytes_at(event, "file.path");
    const bool is_file_event = has_element(at(event, "event.category"), "file");
    EXPECT_FALSE(is_file_event && (path.starts_with("/sys") || path.starts_with("/proc") || path.starts_with("/dev")))
        << event;
  }
}

/// Seed inventory: F7, F12, F16, F17. What makes copies for the upper layer is told once, as what the process did.
TEST(File, tells_once_what_copies_up) {
  const auto watched = watch_on("overlay", {"copy_up"});
  SKIP_IF_TOLD(watched);
  EXPECT_GT(watched.truths("event").size(), 20U);
  expect_file_events(watched);
}

}  // namespace
}  // namespace nightjar::test
