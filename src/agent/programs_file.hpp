// SPDX-License-Identifier: Apache-2.0
// The file family's part of the registry (programs.hpp).
#pragma once

#include "agent/programs.hpp"

namespace nightjar {

GroupSpec file_group();
GroupSpec file_writes_group();
/// See degradation().
std::string_view file_degradation(Kind kind, std::string_view tier);

}  // namespace nightjar
