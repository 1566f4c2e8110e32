// SPDX-License-Identifier: Apache-2.0
// The Open Cybersecurity Schema Framework: which class an event is, and where each field goes. Two tables, by the names
// of the events and of the ECS fields; what has no place in OCSF stands under `unmapped` with its ECS name.
#pragma once

#include "wire/plan.hpp"

namespace nightjar {

/// The version that metadata.version names. The tests check against the schema's data (tests/data/ocsf.json).
inline constexpr std::string_view ocsf_version = "1.8.0";

Node ocsf_tree(const EventInfo& event, const std::vector<Source>& sources);

}  // namespace nightjar
