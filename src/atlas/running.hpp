// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "nightjar/result.hpp"

namespace nightjar::atlas {

/// How the running kernel calls itself.
struct RunningKernel {
  std::string build_id;                        ///< bytes, from /sys/kernel/notes; empty when unreadable
  std::string release, version, architecture;  ///< as uname gives them

  static RunningKernel read();
};

inline constexpr const char* kernel_btf_path = "/sys/kernel/btf/vmlinux";

}  // namespace nightjar::atlas
