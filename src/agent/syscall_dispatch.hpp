// SPDX-License-Identifier: Apache-2.0
// Programs at single system calls, called from two that are attached to all of them (bpf/syscalls.bpf.c).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "nightjar/blueprint.hpp"
#include "nightjar/program_group.hpp"

namespace nightjar {

class SyscallDispatch {
 public:
  /// The version with a slot for each program of a system call, and with the two programs that call them when no group
  /// has brought those yet. Two programs can want one call: the first then calls the second (bpf/slots.bpf.h). One that
  /// finds no slot keeps its attach point, which no kernel has: it will be refused, and so told.
  [[nodiscard]] ProgramVersion through(const ProgramVersion& version, const ProgramBlueprint& blueprint) const;

  /// A version that through() gave was loaded.
  void loaded(const ProgramVersion& version, const ProgramBlueprint& blueprint);

  /// The hook as people know it, of what LoadedProgram::hook says.
  static std::string told(const std::string& hook);

 private:
  /// Map and slot, and whether the program in it calls the next one.
  using Taken = std::map<std::pair<std::string, std::uint32_t>, bool>;

  Taken taken_;
  bool there_ = false;
};

}  // namespace nightjar
