// SPDX-License-Identifier: Apache-2.0
// Globs compiled to deterministic automata, in the tables that the kernel walks (wire/rules.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/rules.h"

namespace nightjar {

/// A glob, and what it says of the kinds of events whose bits are set (bit 0: WIRE_FILE_CREATE).
struct VerdictGlob {
  std::string glob;
  std::uint16_t verdict = WIRE_VERDICT_NONE;  ///< as in wire/rules.h
  std::uint16_t kinds = 0xffff;
};

/// What becomes too large is left to user space.
struct AutomatonLimits {
  std::size_t states = 1 << 18;
  std::size_t edges = 1 << 20;
  std::size_t steps = 50'000'000;  ///< of the compiler: a second or so
};

/// The tables, with rows numbered from 0; whoever puts them into the maps sets the first_ members of the set.
struct RuleTables {
  std::vector<wire_rule_state> states;
  std::vector<wire_rule_edge> edges;
  std::vector<wire_rule_verdict> verdicts;
  wire_rule_set set{};
  /// Globs whose automata would be too large. The tables hold more than such a glob matches when it keeps (all that
  /// begins like it), nothing when it drops: so nothing is dropped that the rules keep.
  std::vector<std::string> inexact;
};

/// Compiles them. `set.others` is left to the caller.
RuleTables compile_globs(const std::vector<VerdictGlob>& globs, const AutomatonLimits& limits = {});

/// The least verdict of the globs that match a text, as the kernel finds it in the tables.
std::uint16_t walk_tables(const RuleTables& tables, std::string_view text, unsigned kind);

}  // namespace nightjar
