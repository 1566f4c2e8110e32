// SPDX-License-Identifier: Apache-2.0
// Execs that fail: P8, P20.
#include <cerrno>

#include "harness.hpp"

namespace nightjar::test {
namespace {

Watched exec_fails(const Strings& options, bool whole) {
  return watch("exec_fails", {"@LOG", "@DIR", workload("report")},
               {.options = options, .expected = {.whole_trees = whole}, .may_be_absent = !whole});
}

TEST(ExecFailed, is_silent_by_default_and_leaves_the_next_exec_clean) {
  const auto watched = exec_fails({"--events", "process"}, true);
  ASSERT_EQ(watched.truths("failed").size(), 6U);
  const json& report = watched.truth("report");
  const auto execs = watched.stream.of("exec", report.at("pid").get<std::int64_t>());
  ASSERT_EQ(execs.size(), 1U);
  EXPECT_EQ(args_of(execs[0]), (Strings{"right", "clean"}));
  expect_same(execs[0], report);
  EXPECT_TRUE(watched.stream.of("exec_failed").empty());
}

TEST(ExecFailed, is_reported_with_path_and_errno_when_asked_for) {
  const auto watched = exec_fails({"--events", "exec,exec_failed"}, false);
  if (watched.outcome.status == 3) GTEST_SKIP() << "kernel lacks a hook for exec_failed: " << watched.outcome.err;
  const auto truths = watched.truths("failed");
  const auto pid = watched.truth("report").at("pid").get<std::int64_t>();
  const auto failures = watched.stream.of("exec_failed", pid);
  ASSERT_EQ(failures.size(), truths.size());
  for (std::size_t i = 0; i < truths.size(); i++) {
    const std::string name = truths[i].at("name");
    EXPECT_EQ(at(failures[i], "nightjar.exec.errno"), truths[i].at("errno")) << name;
    EXPECT_EQ(at(failures[i], "event.outcome"), "failure") << name;
    if (name != "EFAULT") {
      EXPECT_EQ(bytes_at(failures[i], "nightjar.exec.filename"), from_hex(truths[i].at("path").get<std::string>()));
    }
  }
  EXPECT_EQ(watched.stream.of("exec", pid).size(), 1U);
}

}  // namespace
}  // namespace nightjar::test
