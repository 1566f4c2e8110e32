// SPDX-License-Identifier: Apache-2.0
// The file family's part of the registry (programs.hpp).
#pragma once

#include "agent/programs.hpp"

namespace nightjar {

/// The program that tells, where functions cannot be traced, what a process that a signal ends has written: to be
/// attached before the one that tells of its exit. (Not so where groups are loaded one after the other: it then comes
/// after the exit, when a process tree no longer has the process.)
inline constexpr std::string_view told_before_exit = "file_process_killed__calls";

GroupSpec file_group();
GroupSpec file_writes_group();
/// See degradation().
std::string_view file_degradation(Kind kind, std::string_view tier);

}  // namespace nightjar
