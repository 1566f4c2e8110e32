// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace nightjar {

/// A number as LINUX_VERSION_CODE, from what a kernel says of itself: uname's release ("6.1.0-13-amd64") and version,
/// and /proc/version_signature. Debian and Ubuntu keep the patch level out of the release and tell it in one of the
/// others. 0 when none can be read.
std::uint32_t kernel_version_from(std::string_view release, std::string_view version, std::string_view signature);

/// The running kernel's. Nothing is decided by it: kernels before 5.0 want to be told it with kprobe programs.
std::uint32_t running_kernel_version();

}  // namespace nightjar
