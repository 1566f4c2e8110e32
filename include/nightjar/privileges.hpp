// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nightjar/api.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// Whether this thread may load and attach BPF programs that trace: it has CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN
/// (the only way on kernels before 5.8). Fails with denied, naming what is missing, or system. Says nothing about
/// what else may refuse (lockdown, seccomp, an LSM).
NIGHTJAR_API Result<> check_privileges();

/// RLIMIT_MEMLOCK of this process, bytes; UINT64_MAX: none. Kernels before 5.11 charge BPF maps and programs to it.
NIGHTJAR_API Result<std::uint64_t> memlock_limit();
/// Sets it. The hard limit moves only upwards, and only when it must. Fails with denied (CAP_SYS_RESOURCE).
NIGHTJAR_API Result<> set_memlock_limit(std::uint64_t bytes);

}  // namespace nightjar
