// SPDX-License-Identifier: Apache-2.0
#include "nightjar/privileges.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include <unistd.h>

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace nightjar {
namespace {

// Older linux/capability.h lacks these two.
constexpr unsigned cap_perfmon = 38;
constexpr unsigned cap_bpf = 39;

bool kernel_has(unsigned capability) {
  // The bounding set answers EINVAL for capabilities that the kernel does not know.
  return ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0;
}

}  // namespace

Result<> check_privileges() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  // Version 3 writes two of these, whatever the prototype suggests.
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return Error::from_errno("capget");
  const auto effective = [&](unsigned capability) {
    return (data.at(capability / 32).effective >> (capability % 32) & 1U) != 0;
  };

  if (effective(CAP_SYS_ADMIN)) return {};
  if (!kernel_has(cap_bpf)) {
    return Error(errc::denied, "missing CAP_SYS_ADMIN (this kernel has no CAP_BPF)", EPERM);
  }
  const bool bpf = effective(cap_bpf);
  const bool perfmon = effective(cap_perfmon);
  if (bpf && perfmon) return {};
  const std::string missing = bpf ? "CAP_PERFMON" : perfmon ? "CAP_BPF" : "CAP_BPF and CAP_PERFMON";
  return Error(errc::denied, "missing " + missing + " (or CAP_SYS_ADMIN)", EPERM);
}

}  // namespace nightjar
