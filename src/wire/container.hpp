// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace nightjar {

struct ContainerName {
  std::string_view id;       ///< empty: no container
  std::string_view runtime;  ///< empty: the path does not tell
  std::string pod_uid;       ///< of a Kubernetes pod; empty: none
};

/// The container that a cgroup path names: docker, containerd, cri-o, podman, kubepods (with any of them), lxc,
/// systemd-nspawn; and the pod. The views point into `cgroup_path` or to constants.
ContainerName container_of_cgroup(std::string_view cgroup_path);

}  // namespace nightjar
