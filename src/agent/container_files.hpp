// SPDX-License-Identifier: Apache-2.0
// What the files of container runtimes tell of a container.
#pragma once

#include <string>
#include <string_view>

namespace nightjar {

struct ContainerDetails {
  std::string image;  ///< as the runtime names it; empty: no file tells
  std::string name;
};

/// Looks where Docker, containerd (Kubernetes), CRI-O and Podman keep what they know, below `root`. `id`: 64
/// hexadecimal digits; for anything else nothing is looked for.
ContainerDetails details_of_container(std::string_view id, const std::string& root = "");

}  // namespace nightjar
