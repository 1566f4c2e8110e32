// SPDX-License-Identifier: Apache-2.0
// Which file was executed, however it was named: identity and path, as the kernel resolved them.
#include <algorithm>

#include "harness.hpp"

namespace nightjar::test {
namespace {

Watched exec_how(const std::string& mode) {
  return watch("exec_how", {"@LOG", mode, "@DIR", workload("report")});
}

// The exec of the program; its fields are those that it saw itself.
json checked_exec(const Watched& watched) {
  const json& report = watched.truth("report");
  if (!report.is_object()) return nullptr;
  const json& event = watched.only("exec", report.at("pid").get<std::int64_t>());
  expect_same(event, report);
  return event;
}

void expect_flags(const json& event, const Strings& wanted) {
  Strings flags;
  for (const auto& one : at(event, "nightjar.exec.flags")) flags.push_back(one.get<std::string>());
  std::erase(flags, "upper_layer");  // where the tests themselves lie on an overlay
  std::sort(flags.begin(), flags.end());
  EXPECT_EQ(flags, wanted);
}

// P9, P10: the same file by every way to name it.
class ExecHow : public testing::TestWithParam<const char*> {};
TEST_P(ExecHow, reports_the_resolved_file) {
  const auto watched = exec_how(GetParam());
  SKIP_IF_TOLD(watched);
  const json event = checked_exec(watched);
  // The name by which it was executed is what can be gone; another one may be left.
  const bool gone = std::string_view(GetParam()) == "hard_link_left";
  expect_flags(event, gone ? Strings{"deleted"} : Strings{});
  EXPECT_EQ(text_at(event, "file.inode"), watched.truth("file").at("ino").dump());
  EXPECT_EQ(args_of(event), (Strings{"program", "one", "two words"}));
}
INSTANTIATE_TEST_SUITE_P(By, ExecHow,
                         testing::Values("absolute", "relative", "parent_relative", "symlink", "empty_path", "o_path",
                                         "directory", "fexecve", "hard_link_left", "odd_name", "named_deleted",
                                         "long_name"),
                         [](const auto& one) { return std::string(one.param); });

TEST(ExecFiles, keeps_the_file_name_as_given) {
  EXPECT_EQ(text_at(checked_exec(exec_how("relative")), "nightjar.exec.filename"), "./program");
  EXPECT_EQ(text_at(checked_exec(exec_how("parent_relative")), "nightjar.exec.filename"), "../sub/.././program");
  EXPECT_EQ(text_at(checked_exec(exec_how("symlink")), "nightjar.exec.filename"), "./link2");
}

TEST(ExecFiles, reports_a_memfd_by_its_name) {
  const auto watched = exec_how("memfd");
  SKIP_IF_TOLD(watched);
  const json event = checked_exec(watched);
  EXPECT_EQ(text_at(event, "process.executable"), "/memfd:nightjar test");
  EXPECT_TRUE(has_element(at(event, "nightjar.exec.flags"), "memfd")) << event;
}

TEST(ExecFiles, reports_a_deleted_executable_by_its_old_path) {
  const auto watched = exec_how("deleted");
  const json event = checked_exec(watched);
  expect_flags(event, {"deleted"});
  EXPECT_TRUE(text_at(event, "process.executable").ends_with("/program")) << event;
  EXPECT_EQ(text_at(event, "file.inode"), watched.truth("file").at("ino").dump());
}

TEST(ExecFiles, takes_no_living_file_for_deleted_because_of_its_name) {
  const json event = checked_exec(exec_how("named_deleted"));
  expect_flags(event, {});
  EXPECT_TRUE(text_at(event, "process.executable").ends_with("/program (deleted)")) << event;
}

TEST(ExecFiles, flags_a_setgid_program) {
  const auto watched = exec_how("setgid");
  const json event = checked_exec(watched);
  EXPECT_EQ(text_at(event, "file.mode"), "2755");
  // On a nosuid mount the bit has no effect, and the program says so itself.
  if (watched.truth("report").at("egid") == 1237) expect_flags(event, {"setgid"});
}

// P4
TEST(ExecFiles, reports_the_name_of_the_new_image) {
  const auto watched = watch_command({"/bin/sh", "-c", "exec " + workload("tiny") + " 3"});
  EXPECT_EQ(watched.outcome.status, 3);
  const auto execs = watched.stream.of("exec");
  ASSERT_EQ(execs.size(), 2U);
  EXPECT_EQ(text_at(execs[1], "process.name"), "tiny");
  EXPECT_EQ(at(execs[0], "process.entity_id"), at(execs[1], "process.entity_id"));
}

// P19: three execs in one process within a millisecond.
TEST(ExecFiles, reports_each_exec_of_a_chain_with_what_it_replaced) {
  const auto watched = watch("exec_chain", {"@LOG", workload("exec_chain"), "@DIR", workload("report")});
  const auto pid = watched.truth("end").at("pid").get<std::int64_t>();
  const auto execs = watched.stream.of("exec", pid);
  ASSERT_EQ(execs.size(), 3U);
  EXPECT_EQ(args_of(execs[0]), (Strings{"a", "start"}));
  EXPECT_EQ(args_of(execs[1]), (Strings{"b", "from-a"}));
  EXPECT_EQ(args_of(execs[2]), (Strings{"c", "from-b"}));
  EXPECT_EQ(text_at(execs[0], "process.previous.executable"), workload("exec_chain"));
  EXPECT_EQ(at(execs[1], "process.previous.executable"), at(execs[0], "process.executable"));
  EXPECT_EQ(at(execs[2], "process.previous.executable"), at(execs[1], "process.executable"));
  EXPECT_TRUE(text_at(execs[1], "process.executable").ends_with("/b"));
  EXPECT_NE(text_at(execs[0], "file.inode"), text_at(execs[1], "file.inode"));
  expect_same(execs[2], watched.truth("report"));
}

}  // namespace
}  // namespace nightjar::test
