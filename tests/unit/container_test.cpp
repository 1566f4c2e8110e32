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

TEST(Container, is_not_found_where_there_is_none) {
  for (const std::string path : {"", "/", "/system.slice/ssh.service", "/user.slice/user-1000.slice/session-2.scope"}) {
    EXPECT_EQ(container_of_cgroup(path).id, "") << path;
  }
  EXPECT_EQ(container_of_cgroup("/system.slice/docker-" + id.substr(1) + ".scope").id, "");
  EXPECT_EQ(container_of_cgroup("/docker/" + std::string(64, 'X')).id, "");
}

}  // namespace
}  // namespace nightjar
