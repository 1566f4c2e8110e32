// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "nightjar/program.hpp"

namespace nightjar {

struct SectionMeaning {
  ProgramKind kind;
  bool names_syscall;             ///< "ksyscall": the attach point is a system call
  std::string_view attach_point;  ///< points into the section's name; may be empty
};

/// libbpf's SEC() conventions.
SectionMeaning read_section_name(std::string_view section);

}  // namespace nightjar
