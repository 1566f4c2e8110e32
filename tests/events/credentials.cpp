// SPDX-License-Identifier: Apache-2.0
// Who runs it, with which rights. P1, P25, P26.
#include <unistd.h>

#include "harness.hpp"

namespace nightjar::test {
namespace {

struct Checked {
  Watched watched;
  json event, report;
};

Checked credentials(const std::string& mode) {
  Checked checked{watch("credentials", {"@LOG", "@DIR", workload("report"), mode}), nullptr, nullptr};
  if (!checked.watched.skip_reason().empty()) return checked;
  checked.report = checked.watched.truth("report");
  if (!checked.report.is_object()) return checked;
  checked.event = checked.watched.only("exec", checked.report.at("pid").get<std::int64_t>());
  expect_same(checked.event, checked.report);
  return checked;
}

void expect_users(const json& event, const char* effective, const char* real, const char* saved) {
  EXPECT_EQ(text_at(event, "process.user.id"), effective);
  EXPECT_EQ(text_at(event, "process.real_user.id"), real);
  EXPECT_EQ(text_at(event, "process.saved_user.id"), saved);
}

// An exec makes the saved ids those of the effective ones.
TEST(Credentials, tells_real_effective_and_saved_ids_apart) {
  const auto checked = credentials("ids");
  expect_users(checked.event, "1019", "1009", "1019");
  EXPECT_EQ(text_at(checked.event, "process.group.id"), "2027");
  EXPECT_EQ(text_at(checked.event, "process.real_group.id"), "2011");
  EXPECT_EQ(text_at(checked.event, "process.saved_group.id"), "2027");
}

// The fork knows the saved ids before any exec; so does the exit of a process that changed them.
TEST(Credentials, keeps_saved_ids_that_differ_until_the_exec) {
  const auto checked = credentials("ids");
  const json& fork = checked.watched.only("fork", checked.report.at("pid").get<std::int64_t>());
  expect_users(fork, "0", "0", "0");
  const json& exit = checked.watched.only("exit", checked.report.at("pid").get<std::int64_t>());
  expect_users(exit, "1019", "1009", "1019");
}

// P26
TEST(Credentials, takes_no_uid_for_a_gid) {
  const auto checked = credentials("ids_plain");
  EXPECT_EQ(text_at(checked.event, "process.user.id"), "1001");
  EXPECT_EQ(text_at(checked.event, "process.group.id"), "2002");
}

TEST(Credentials, reports_a_setuid_program) {
  const auto checked = credentials("setuid");
  SKIP_IF_TOLD(checked.watched);
  expect_users(checked.event, "1013", "65534", "1013");
  EXPECT_EQ(text_at(checked.event, "file.mode"), "4755");
  EXPECT_EQ(text_at(checked.event, "file.uid"), "1013");
  EXPECT_TRUE(has_element(at(checked.event, "nightjar.exec.flags"), "setuid")) << checked.event;
}

TEST(Credentials, reports_a_setuid_root_program_and_its_capabilities) {
  const auto checked = credentials("setuid_root");
  SKIP_IF_TOLD(checked.watched);
  expect_users(checked.event, "0", "65534", "0");
  EXPECT_TRUE(has_element(at(checked.event, "process.thread.capabilities.effective"), "CAP_SETUID")) << checked.event;
}

TEST(Credentials, names_the_capabilities_that_are_left) {
  const auto checked = credentials("caps");
  EXPECT_EQ(at(checked.event, "process.thread.capabilities.permitted").size(), 2U);
  EXPECT_TRUE(has_element(at(checked.event, "process.thread.capabilities.effective"), "CAP_SYS_PTRACE"));
}

// None is an empty list or an absent one, and never the list of all.
TEST(Credentials, names_no_capability_of_a_root_without_any) {
  const auto checked = credentials("no_caps");
  EXPECT_TRUE(at(checked.event, "process.thread.capabilities.effective").empty());
}

TEST(Credentials, names_an_ambient_capability) {
  const auto checked = credentials("ambient");
  SKIP_IF_TOLD(checked.watched);
  EXPECT_EQ(at(checked.event, "process.thread.capabilities.effective"), json::array({"CAP_NET_BIND_SERVICE"}));
}

TEST(Credentials, flags_a_program_with_file_capabilities) {
  const auto checked = credentials("file_caps");
  SKIP_IF_TOLD(checked.watched);
  EXPECT_EQ(at(checked.event, "process.thread.capabilities.effective"), json::array({"CAP_NET_RAW"}));
  EXPECT_TRUE(has_element(at(checked.event, "nightjar.exec.flags"), "file_caps")) << checked.event;
}

// P1, P25: 0 is a value, unset is absence.
TEST(Credentials, reports_the_login_uid_once_set) {
  const auto checked = credentials("login=1049");
  SKIP_IF_TOLD(checked.watched);
  EXPECT_EQ(at(checked.event, "nightjar.login_uid"), 1049);
}
TEST(Credentials, reports_the_login_uid_of_root) {
  const auto checked = credentials("login=0");
  SKIP_IF_TOLD(checked.watched);
  EXPECT_EQ(at(checked.event, "nightjar.login_uid"), 0);
}

}  // namespace
}  // namespace nightjar::test
