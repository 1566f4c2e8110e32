// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nightjar/result.hpp"

namespace nightjar {

/// Whether this thread may load and attach BPF programs that trace: it has CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN
/// (the only way on kernels before 5.8). Fails with denied, naming what is missing, or system. Says nothing about
/// what else may refuse (lockdown, seccomp, an LSM).
Result<> check_privileges();

}  // namespace nightjar
