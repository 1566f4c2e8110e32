// SPDX-License-Identifier: Apache-2.0
// Execs and forks by threads that are not the leader: P6, P13.
#include "harness.hpp"

namespace nightjar::test {
namespace {

TEST(ExecThreads, reports_an_exec_by_another_thread_than_the_leader) {
  const auto watched = watch("exec_thread", {"@LOG", workload("report"), "exec"});
  const json& thread = watched.truth("thread");
  const json& report = watched.truth("report");
  const auto pid = report.at("pid").get<std::int64_t>();
  EXPECT_EQ(thread.at("pid"), pid);
  const json& event = watched.only("exec", pid);
  expect_same(event, report);
  EXPECT_EQ(at(event, "nightjar.exec.old_thread_id"), thread.at("tid"));
  EXPECT_EQ(at(watched.only("exit", pid), "process.exit_code"), 0);
  EXPECT_TRUE(watched.stream.of("exit", thread.at("tid").get<std::int64_t>()).empty());
}

TEST(ExecThreads, has_no_old_thread_id_when_the_leader_executes) {
  const auto watched = watch_command({workload("tiny"), "0"});
  ASSERT_EQ(watched.stream.of("exec").size(), 1U);
  EXPECT_TRUE(at(watched.stream.of("exec")[0], "nightjar.exec.old_thread_id").is_null());
}

TEST(ExecThreads, reports_the_process_as_parent_when_a_thread_forks) {
  const auto watched = watch("exec_thread", {"@LOG", workload("report"), "fork"});
  const json& report = watched.truth("report");
  const auto pid = report.at("pid").get<std::int64_t>();
  ASSERT_NE(watched.truth("thread").at("tid"), report.at("ppid"));
  EXPECT_EQ(at(watched.only("fork", pid), "process.parent.pid"), report.at("ppid"));
  expect_same(watched.only("exec", pid), report);
}

}  // namespace
}  // namespace nightjar::test
