// SPDX-License-Identifier: Apache-2.0
// Programs at single system calls, called from two that are attached to all of them (bpf/syscalls.bpf.c).
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "nightjar/blueprint.hpp"
#include "nightjar/program_group.hpp"

namespace nightjar {

class SyscallDispatch {
 public:
  /// The version with a slot for each program at a system call's tracepoint, and with the two programs that call them
  /// when no group has brought those yet. Where a slot is taken, the program stays at
  /// the tracepoint.
  [[nodiscard]] ProgramVersion through(const ProgramVersion& version, const ProgramBlueprint& blueprint) const;

  /// A version that through() gave was loaded.
  void loaded(const ProgramVersion& version);

  /// The hook as people know it, of what LoadedProgram::hook says.
  static std::string told(const std::string& hook);

 private:
  std::set<std::pair<std::string, std::uint32_t>> taken_;  // map and slot
  bool there_ = false;
};

}  // namespace nightjar
