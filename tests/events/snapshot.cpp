// SPDX-License-Identifier: Apache-2.0
// What is told of processes that were there before the agent, by the kernel's task iterator and from /proc: the same,
// and what they say of themselves.
#include <cstdlib>

#include "cgroups.hpp"
#include "harness.hpp"
#include "running.hpp"

namespace nightjar::test {
namespace {

/// The first: a feature that is withheld.
using With = std::tuple<const char*, const char*>;

std::string name_of(const testing::TestParamInfo<With>& one) {
  const std::string without = std::get<0>(one.param);
  return (without.empty() ? "all" : "without_" + without) + "_" + std::get<1>(one.param);
}

/// The stream of a run that lasts until the processes were told of; they end after it.
Stream look_at(const std::string& scope, const char* without, std::size_t processes) {
  Launch launch;
  launch.arguments = {"run", "--events", "process", "--scope", scope, "--without", without};
  for (const auto& option : tier_options()) launch.arguments.push_back(option);
  launch.arguments.insert(launch.arguments.end(), {"--count", std::to_string(processes)});
  const auto outcome = run_agent(launch);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto stream = parse_stream(outcome.out, {.whole_trees = false});
  for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
  EXPECT_EQ(stream.of("process_snapshot").size(), processes) << outcome.out;
  return stream;
}

class SnapshotOf : public testing::TestWithParam<With> {};

TEST_P(SnapshotOf, a_file_tells_what_the_process_says) {
  const TempDir temp;
  const TempDir place;
  const std::string log = temp / "log";
  const auto& [without, mode] = GetParam();
  const Process process(
      {"/usr/bin/env", "NJ_STAY=1", workload("exec_how"), log, mode, place.path(), workload("report")});
  ASSERT_TRUE(wait_for_lines(log, "report", 1));
  const json report = lines(log, "report").at(0);
  const auto stream = look_at("tree:" + std::to_string(process.pid()), without, 2);
  const auto told = stream.of("process_snapshot", report.at("pid").get<std::int64_t>());
  ASSERT_EQ(told.size(), 1U);
  expect_same(told[0], report);
  const std::string flags = at(told[0], "nightjar.exec.flags").dump();
  EXPECT_EQ(flags.find("deleted") != std::string::npos,
            mode == std::string_view("deleted") || mode == std::string_view("hard_link_left"));
  EXPECT_EQ(flags.find("memfd") != std::string::npos, mode == std::string_view("memfd"));
  const bool withheld = *without != 0 || std::getenv("NIGHTJAR_TEST_WITHOUT") != nullptr;
  EXPECT_EQ(text_at(told[0], "nightjar.hook"), withheld ? "procfs" : "iter/task");
  EXPECT_EQ(at(told[0], "process.parent.entity_id"),
            at(stream.of("process_snapshot", process.pid()).at(0), "process.entity_id"));
}
INSTANTIATE_TEST_SUITE_P(Of, SnapshotOf,
                         testing::Combine(testing::Values("", "task_iterator"),
                                          testing::Values("absolute", "odd_name", "named_deleted", "deleted",
                                                          "hard_link_left", "memfd", "long_name")),
                         name_of);

class SnapshotIn : public testing::TestWithParam<With> {};

TEST_P(SnapshotIn, namespaces_tells_pids_and_users_of_the_root) {
  const TempDir temp;
  const std::string log = temp / "log";
  const auto& [without, mode] = GetParam();
  const Process process({"/usr/bin/env", "NJ_STAY=1", workload("namespaces"), log, workload("report"), mode});
  ASSERT_TRUE(wait_for_lines(log, "report", 1));
  const json report = lines(log, "report").at(0);
  const auto pid = lines(log, "child").at(0).at("pid").get<std::int64_t>();
  const auto told = look_at("tree:" + std::to_string(process.pid()), without, 2).of("process_snapshot", pid);
  ASSERT_EQ(told.size(), 1U);
  const bool user = mode == std::string_view("user");
  expect_same(told[0], report, {.pids = false, .ids = !user});
  EXPECT_EQ(at(told[0], "process.vpid"), 1);
  EXPECT_EQ(at(told[0], "process.parent.pid"), process.pid());
  EXPECT_EQ(text_at(told[0], "process.user.id"), user ? "65534" : "0");
}
INSTANTIATE_TEST_SUITE_P(New, SnapshotIn,
                         testing::Combine(testing::Values("", "task_iterator"), testing::Values("all", "user")),
                         name_of);

class SnapshotIf : public testing::TestWithParam<const char*> {};

TEST_P(SnapshotIf, in_a_cgroup_tells_who_is_in_it_and_nobody_else) {
  const TempDir temp;
  const std::string log = temp / "log";
  const Cgroup cgroup("snapshot");
  if (cgroup.path().empty()) GTEST_SKIP() << "no cgroup2 mount in which a cgroup may be made";
  const Process process(
      {"/usr/bin/env", "NJ_STAY=1", workload("in_cgroup"), log, cgroup.path(), workload("report"), "inside"});
  ASSERT_TRUE(wait_for_lines(log, "report", 1));
  const json report = lines(log, "report").at(0);
  const auto told = look_at("cgroup:" + cgroup.path(), GetParam(), 1).of("process_snapshot");
  expect_same(told.at(0), report);
  EXPECT_EQ(text_at(told.at(0), "nightjar.cgroup.path"), cgroup.name());
  EXPECT_EQ(at(told.at(0), "nightjar.cgroup.id"), lines(log, "cgroup").at(0).at("id"));
}
INSTANTIATE_TEST_SUITE_P(Without, SnapshotIf, testing::Values("", "task_iterator"),
                         [](const auto& one) { return std::string(*one.param == 0 ? "nothing" : one.param); });

}  // namespace
}  // namespace nightjar::test
