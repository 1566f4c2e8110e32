// SPDX-License-Identifier: Apache-2.0
// Processes in new namespaces; their pids are those of the root namespace all the same. P2.
#include "harness.hpp"

namespace nightjar::test {
namespace {

Watched namespaces(const std::string& mode) {
  return watch("namespaces", {"@LOG", workload("report"), mode});
}

// The exec of the process that is pid 1 inside.
json checked_inside(const Watched& watched, const Comparison& what) {
  const json& child = watched.truth("child");
  const json& report = watched.truth("report");
  if (!child.is_object() || !report.is_object()) return nullptr;
  const auto pid = child.at("pid").get<std::int64_t>();
  EXPECT_EQ(report.at("pid"), 1);
  const json event = watched.only("exec", pid);
  expect_same(event, report, what);
  EXPECT_EQ(at(event, "process.vpid"), 1);
  EXPECT_EQ(at(event, "process.thread.id"), pid);
  EXPECT_EQ(at(event, "process.parent.pid"), child.at("ppid"));
  EXPECT_EQ(at(watched.only("fork", pid), "process.vpid"), 1);
  EXPECT_EQ(at(watched.only("exit", pid), "process.vpid"), 1);
  return event;
}

TEST(Namespaces, reports_root_pids_and_numbers_in_all_new_namespaces) {
  const auto watched = namespaces("all");
  SKIP_IF_TOLD(watched);
  checked_inside(watched, {.pids = false});
  const json& outside = watched.truth("outside");
  const json& fork = watched.only("fork", watched.truth("child").at("pid").get<std::int64_t>());
  for (const auto* name : {"mnt", "pid", "net", "uts", "ipc", "cgroup"}) {
    const std::string field = "nightjar.ns." + std::string(name);
    EXPECT_EQ(at(fork, field), watched.truth("report").at("ns").at(name)) << name;
    EXPECT_NE(at(fork, field), outside.at("ns").at(name)) << name;
    EXPECT_EQ(at(fork, "nightjar.ns_before." + std::string(name)), outside.at("ns").at(name)) << name;
  }
  for (const auto* flag :
       {"CLONE_NEWPID", "CLONE_NEWNS", "CLONE_NEWNET", "CLONE_NEWUTS", "CLONE_NEWIPC", "CLONE_NEWCGROUP"}) {
    EXPECT_TRUE(has_element(at(fork, "nightjar.clone.flags"), flag)) << fork;
  }
}

// As `unshare -Urpf --mount-proc`, by uid 65534 who is root inside: the ids are those of the root user namespace.
TEST(Namespaces, reports_root_ids_in_a_new_user_namespace) {
  const auto watched = namespaces("user");
  SKIP_IF_TOLD(watched);
  const json event = checked_inside(watched, {.pids = false, .ids = false});
  EXPECT_EQ(watched.truth("report").at("euid"), 0);
  for (const auto* field : {"user", "real_user", "saved_user", "group", "real_group", "saved_group"}) {
    EXPECT_EQ(text_at(event, "process." + std::string(field) + ".id"), "65534") << field;
  }
  EXPECT_NE(at(event, "nightjar.ns.user"), watched.truth("outside").at("ns").at("user"));
}

TEST(Namespaces, reports_root_pids_two_levels_deep) {
  const auto watched = namespaces("nested");
  SKIP_IF_TOLD(watched);
  // /proc is the root's: it names the inner process by its root pid.
  const json& report = watched.truth("report");
  const auto pid = std::stoll(from_hex(report.at("proc_self").get<std::string>()));
  const auto outer = watched.truth("child").at("pid").get<std::int64_t>();
  ASSERT_NE(pid, outer);
  const json& event = watched.only("exec", pid);
  expect_same(event, report, {.pids = false});
  EXPECT_EQ(at(event, "process.vpid"), 1);
  EXPECT_EQ(at(event, "process.parent.pid"), outer);
  EXPECT_EQ(at(event, "process.session_leader.pid"), report.at("session"));
  EXPECT_EQ(at(watched.only("fork", outer), "process.vpid"), 1);
}

TEST(Namespaces, reports_root_pids_after_unshare_and_fork) {
  const auto watched = namespaces("unshare");
  SKIP_IF_TOLD(watched);
  checked_inside(watched, {.pids = false});
}

}  // namespace
}  // namespace nightjar::test
