// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

#include "group_state.hpp"
#include "nightjar/program_group.hpp"

namespace nightjar {

/// Applies the settings to an object that is open and not yet loaded, and turns off every map that is not in `used`
/// (global data stays, unless `features` pretends not to have it). What is rounded is told in `remarks`. Fails with
/// invalid (a shared map that does not fit), unsupported (a type that `features` pretends not to have), or system.
Result<> set_up_maps(bpf_object* object, const GroupOptions& options, const std::set<std::string, std::less<>>& used,
                     Features& features, std::vector<std::string>& remarks);

/// About what the kernel takes for the maps of an object that is set up: those that it is to create.
std::uint64_t memory_of_maps(const bpf_object* object, const ProgramBlueprint& blueprint, const GroupOptions& options);

/// Fails with invalid when a setting is for a map that the blueprint lacks; the nearest name is suggested.
Result<> check_map_names(const ProgramBlueprint& blueprint, const GroupOptions& options);

}  // namespace nightjar
