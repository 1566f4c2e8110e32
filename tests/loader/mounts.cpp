// SPDX-License-Identifier: Apache-2.0
#include "mounts.hpp"

#include <cerrno>
#include <cstring>

#include <linux/mount.h>
#include <sys/syscall.h>

namespace nightjar::test {

PrivateMount::PrivateMount(const std::string& type) {
  const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, type.c_str(), FSOPEN_CLOEXEC)));
  if (!context.valid() || ::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    why_not_ = "no " + type + " here: " + ::strerrordesc_np(errno);
    return;
  }
  root_.reset(static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
  if (!root_.valid()) why_not_ = "cannot mount " + type + ": " + ::strerrordesc_np(errno);
}

}  // namespace nightjar::test
