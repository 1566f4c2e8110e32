// SPDX-License-Identifier: Apache-2.0
// The rules on paths, as far as the kernel can ask them before it sends a file event.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/filter.hpp"
#include "agent/glob_automaton.hpp"
#include "nightjar/log.hpp"
#include "nightjar/map.hpp"
#include "nightjar/mapped_array.hpp"

namespace nightjar {

/// A filter as the kernel is told of it: never drops what the filter keeps. A rule that drops under further conditions
/// than events and paths is left out; one that keeps under such is taken as if it kept all.
struct PathRules {
  RuleTables tables;
  std::vector<std::string> names;  ///< of the rules by number, for counts; 0 is none, the last is "default"
  bool needed = false;             ///< some file event might be dropped
};
PathRules compile_path_rules(const Filter& filter);

/// Says which globs the kernel was told of only roughly.
void tell_inexact(const PathRules& rules, const LogSink& log);

/// Rows of the maps path_rule_*.
struct RuleRoom {
  std::uint32_t states = 1, edges = 1, verdicts = 1, counts = 1;
};
/// Room for two sets like `rules`; with `reloads`, also for larger ones.
RuleRoom room_for(const PathRules& rules, bool reloads);

/// The maps, and the set of rules that is in force.
class KernelRules {
 public:
  /// Takes its maps out of those; without a map (no file event is wanted) nothing is ever put into force.
  static Result<KernelRules> open(std::span<const Map> maps);

  /// Puts rules into force, all at once, and waits until no program walks the ones before. Fails, with user space alone
  /// asking the rules from there on, when they are larger than the room that was made at the start.
  Result<> adopt(const PathRules& rules);

  /// Events that each rule held back so far.
  [[nodiscard]] std::map<std::string, std::uint64_t> drops() const;

 private:
  [[nodiscard]] Result<> put(std::uint32_t half, const PathRules& rules) const;
  [[nodiscard]] Result<> switch_to(std::uint32_t now);
  void add_counts(std::uint32_t half, std::map<std::string, std::uint64_t>& to) const;

  std::optional<Map> states_, edges_, verdicts_, sets_, now_;
  std::optional<MappedArray> counts_;
  std::uint32_t current_ = 0;   // the half that was in force last, and one
  std::uint32_t in_force_ = 0;  // what the programs read: 0, or the half and one
  std::array<std::vector<std::string>, WIRE_RULE_SETS> names_;
  std::map<std::string, std::uint64_t> before_;
};

}  // namespace nightjar
