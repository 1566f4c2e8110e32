// SPDX-License-Identifier: Apache-2.0
// A kernel of an atlas for people and for other tools.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "atlas/atlas.hpp"

namespace nightjar::atlas {

/// The wanted things of a kernel, one a line as JSON: name, whether it is there, offset, size, type.
std::string export_json(const Kernel& kernel, const LayoutIndex& index, const std::set<Want>& wanted);

/// A C header of macros NIGHTJAR_OFFSET_task_struct__tgid; what the kernel lacks is a comment.
std::string export_header(const Kernel& kernel, const LayoutIndex& index, const std::set<Want>& wanted);

/// The wanted set of an atlas; of one that keeps every type: all members of the named structs.
std::set<Want> wanted_or(const Atlas& atlas, const LayoutIndex& index, const std::set<std::string>& structs);

}  // namespace nightjar::atlas
