// SPDX-License-Identifier: Apache-2.0
// The map that says which processes are in the scope "tree". The programs keep it up to date; here it is begun.
#pragma once

#include <cstdint>

#include "agent/snapshot.hpp"
#include "nightjar/map.hpp"

namespace nightjar {

/// The processes that the agent forks from now on are the tree; the agent is not.
Result<> begin_tree(const Map& tree, const SelfTask& self);

/// `root` and all its descendants that there are. The programs must be attached: what is forked meanwhile is put in by
/// them. not_found when there is no such process.
Result<> fill_tree(const Map& tree, std::uint32_t root);

/// Whether nothing but the agent's entry is left, or only processes that are gone.
Result<bool> tree_is_over(const Map& tree, std::uint32_t self);

}  // namespace nightjar
