// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nightjar/result.hpp"

namespace nightjar {

struct Hardening {
  bool network = false;         ///< an output speaks to other machines
  bool signals_others = false;  ///< watch passes signals on to COMMAND
  bool perf_buffers = false;    ///< a CPU that comes later gets one
};

/// Gives up what the agent does not need once everything is loaded, for good and for all threads that begin later:
/// no_new_privs, capabilities, and by seccomp the system calls that load programs, start others, or change the machine.
/// A kernel without one of these is no reason to stop; the error says which.
Result<> drop_privileges(const Hardening& hardening);

}  // namespace nightjar
