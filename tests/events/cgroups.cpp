// SPDX-License-Identifier: Apache-2.0
// The cgroup of a process, and the container that its path tells of.
#include "cgroups.hpp"

#include "harness.hpp"

namespace nightjar::test {
namespace {

const std::string id64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

void check(const std::string& below, const std::string& container, const std::string& runtime) {
  const Cgroup cgroup(below);
  if (cgroup.path().empty()) GTEST_SKIP() << "no cgroup2 mount in which a cgroup may be made";
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

}  // namespace
}  // namespace nightjar::test
