// SPDX-License-Identifier: Apache-2.0
// The cgroup of a process, and the container that its path tells of.
#include "cgroups.hpp"

#include "harness.hpp"

namespace nightjar::test {
namespace {

const std::string id64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

void check(const std::string& below, const std::string& container, const std::string& runtime,
           const std::string& controller = "") {
  const Cgroup cgroup(below, controller);
  if (cgroup.path().empty())
    GTEST_SKIP() << "no cgroup" << (controller.empty() ? "2" : " (" + controller + ")")
                 << " mount in which a cgroup may be made";
  const auto watched = watch("in_cgroup", {"@LOG", cgroup.path(), workload("report")});
  const json& report = watched.truth("report");
  const auto pid = report.at("pid").get<std::int64_t>();
  const json& event = watched.only("exec", pid);
  expect_same(event, report);
  EXPECT_EQ(text_at(event, "nightjar.cgroup.path"), cgroup.name());
  EXPECT_EQ(at(event, "nightjar.cgroup.id"), watched.truth("cgroup").at("id"));
  EXPECT_EQ(text_at(watched.only("exit", pid), "nightjar.cgroup.path"), cgroup.name());
  // The fork happened outside.
  EXPECT_NE(text_at(watched.only("fork", pid), "nightjar.cgroup.path"), cgroup.name());
  if (container.empty()) {
    EXPECT_TRUE(at(event, "container").is_null()) << event;
    return;
  }
  EXPECT_EQ(text_at(event, "container.id"), container);
  EXPECT_EQ(text_at(event, "container.runtime"), runtime);
}

TEST(Cgroups, reports_path_and_id) {
  check("plain", "", "");
}
TEST(Cgroups, takes_no_container_from_a_path_that_only_looks_like_one) {
  check("docker/0123456789abcdef", "", "");
}
TEST(Cgroups, recognises_docker) {
  check("docker/" + id64, id64, "docker");
}
TEST(Cgroups, recognises_docker_under_systemd) {
  check("system.slice/docker-" + id64 + ".scope", id64, "docker");
}
TEST(Cgroups, recognises_podman) {
  check("machine.slice/libpod-" + id64 + ".scope", id64, "podman");
}
TEST(Cgroups, recognises_containerd_in_kubernetes) {
  check("kubepods.slice/kubepods-burstable.slice/cri-containerd-" + id64 + ".scope", id64, "containerd");
}
TEST(Cgroups, recognises_crio_in_kubernetes) {
  check("kubepods.slice/crio-" + id64 + ".scope", id64, "cri-o");
}

// Machines that manage with version 1, without version 2 or beside it:
// tests/vm/run.py --kernel-options nightjar.cgroups=v1 --filter 'Cgroups.*' (or hybrid).
TEST(Cgroups, of_version_1_are_those_of_the_memory_controller) {
  check("docker/" + id64, id64, "docker", "memory");
}
TEST(Cgroups, of_version_1_are_those_of_the_pids_controller_where_memory_tells_nothing) {
  const std::string own = read_file("/proc/self/cgroup");
  if (own.find(":memory:/") != std::string::npos && own.find(":memory:/\n") == std::string::npos)
    GTEST_SKIP() << "this test is in a cgroup of the memory controller, and that comes first";
  check("docker/" + id64, id64, "docker", "pids");
}
TEST(Cgroups, of_version_1_are_no_scope) {
  const Cgroup cgroup("scope", "pids");
  if (cgroup.path().empty()) GTEST_SKIP() << "no cgroup (pids) mount in which a cgroup may be made";
  const auto outcome = run_agent({.arguments = {"run", "--scope", "cgroup:" + cgroup.path(), "--duration", "1"}});
  EXPECT_EQ(outcome.status, 2) << outcome.err;
  EXPECT_NE(outcome.err.find("a cgroup of version 1"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

}  // namespace
}  // namespace nightjar::test
