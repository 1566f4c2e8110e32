// SPDX-License-Identifier: Apache-2.0
#include "wire/container.hpp"

#include <string>

#include <gtest/gtest.h>

namespace nightjar {
namespace {

const std::string id(64, 'a');
const std::string inner(64, 'b');

TEST(Container, is_found_in_the_paths_that_runtimes_make) {
  const struct {
    std::string path, id, runtime;
  } cases[] = {
      {"/system.slice/docker-" + id + ".scope", id, "docker"},
      {"/docker/" + id, id, "docker"},
      {"/docker/" + id + "/init.scope", id, "docker"},
      {"/docker/" + id + "/docker/" + inner, inner, "docker"},
      {"/kubepods.slice/kubepods-pod12.slice/cri-containerd-" + id + ".scope", id, "containerd"},
      {"/kubepods/besteffort/pod1234/" + id, id, "kubepods"},
      {"/kubepods.slice/kubepods-besteffort.slice/crio-" + id + ".scope", id, "cri-o"},
      {"/user.slice/user-1000.slice/libpod-" + id + ".scope/container", id, "podman"},
      {"/machine.slice/libpod-" + id + ".scope", id, "podman"},
      {"/lxc.payload.web/system.slice", "web", "lxc"},
      {"/lxc/web", "web", "lxc"},
      {"/machine.slice/systemd-nspawn@web.service/payload", "web", "systemd-nspawn"},
      {"/machine.slice/machine-web.scope", "web", "systemd-nspawn"},
  };
  for (const auto& c : cases) {
    const ContainerName found = container_of_cgroup(c.path);
    EXPECT_EQ(found.id, c.id) << c.path;
    EXPECT_EQ(found.runtime, c.runtime) << c.path;
  }
}

TEST(Container, is_told_with_its_pod) {
  const std::string uid = "0f3a9b1c-1111-2222-3333-444455556666";
  const std::string slice = "0f3a9b1c_1111_2222_3333_444455556666";
  const auto pod = [](const std::string& path) { return container_of_cgroup(path).pod_uid; };
  EXPECT_EQ(
      pod("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + slice + ".slice/crio-" + id + ".scope"),
      uid);
  EXPECT_EQ(pod("/kubepods.slice/kubepods-pod" + slice + ".slice/cri-containerd-" + id + ".scope"), uid);
  EXPECT_EQ(pod("/kubepods/besteffort/pod" + uid + "/" + id), uid);
  EXPECT_EQ(pod("/kubepods/burstable/pod" + std::string(32, 'c')), std::string(32, 'c'));
  EXPECT_EQ(pod("/pod" + uid), "");
  EXPECT_EQ(pod("/kubepods/besteffort/podium/" + id), "");
  EXPECT_EQ(pod("/docker/" + id), "");
}

TEST(Container, is_not_found_where_there_is_none) {
  for (const std::string path : {"", "/", "/system.slice/ssh.service", "/user.slice/user-1000.slice/session-2.scope"}) {
    EXPECT_EQ(container_of_cgroup(path).id, "") << path;
  }
  EXPECT_EQ(container_of_cgroup("/system.slice/docker-" + id.substr(1) + ".scope").id, "");
  EXPECT_EQ(container_of_cgroup("/docker/" + std::string(64, 'X')).id, "");
}

}  // namespace
}  // namespace nightjar
