// SPDX-License-Identifier: Apache-2.0
#include "agent/path_rules.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include <unistd.h>

#include <linux/membarrier.h>
#include <sys/syscall.h>

namespace nightjar {
namespace {

constexpr std::size_t path_subject = static_cast<std::size_t>(Subject::path);

std::uint16_t kinds_of(const Rule& rule) {
  std::uint16_t kinds = 0;
  for (unsigned i = 0; i < WIRE_FILE_KINDS; ++i) {
    if (rule.events.empty() || rule.events.contains(static_cast<Kind>(WIRE_FILE_CREATE + i)))
      kinds |= static_cast<std::uint16_t>(1U << i);
  }
  return kinds;
}

bool has_further_conditions(const Rule& rule) {
  for (std::size_t i = 0; i < subject_count; ++i) {
    if (i != path_subject && (!rule.patterns[i].empty() || !rule.ranges[i].empty())) return true;
  }
  return false;
}

std::uint16_t verdict_of(std::size_t number, bool keep) {
  return static_cast<std::uint16_t>(number << 1 | (keep ? 0 : WIRE_VERDICT_DROPS));
}

}  // namespace

PathRules compile_path_rules(const Filter& filter) {
  PathRules compiled;
  std::vector<VerdictGlob> globs;
  std::array<std::uint16_t, WIRE_FILE_KINDS> others{};
  for (unsigned i = 0; i < WIRE_FILE_KINDS; ++i)
    others.at(i) = verdict_of(filter.rules.size() + 1, filter.keeps_other(static_cast<Kind>(WIRE_FILE_CREATE + i)));
  compiled.names.emplace_back();
  for (std::size_t number = 1; number <= filter.rules.size(); ++number) {
    const Rule& rule = filter.rules[number - 1];
    compiled.names.push_back(rule.id);
    if (!rule.keep && has_further_conditions(rule)) continue;
    const std::uint16_t verdict = verdict_of(number, rule.keep);
    std::uint16_t kinds = kinds_of(rule);
    if (filter.ignores(rule, Kind::open_read))
      kinds &= static_cast<std::uint16_t>(~(1U << (WIRE_FILE_OPEN_READ - WIRE_FILE_CREATE)));
    if (rule.patterns[path_subject].empty()) {
      for (unsigned i = 0; i < WIRE_FILE_KINDS; ++i) {
        if ((kinds >> i & 1) != 0) others.at(i) = std::min(others.at(i), verdict);
      }
      continue;
    }
    // What a rule without paths has decided before needs no glob.
    for (unsigned i = 0; i < WIRE_FILE_KINDS; ++i) {
      if (others.at(i) < verdict) kinds &= static_cast<std::uint16_t>(~(1U << i));
    }
    if (kinds == 0) continue;
    for (const std::string& glob : rule.patterns[path_subject]) globs.push_back({glob, verdict, kinds});
  }
  compiled.names.emplace_back("default");
  const auto drops = [](std::uint16_t verdict) { return (verdict & WIRE_VERDICT_DROPS) != 0; };
  compiled.needed = std::any_of(others.begin(), others.end(), drops) ||
                    std::any_of(globs.begin(), globs.end(), [&](const VerdictGlob& g) { return drops(g.verdict); });
  if (!compiled.needed) globs.clear();
  compiled.tables = compile_globs(globs);
  std::copy(others.begin(), others.end(), compiled.tables.set.others);
  return compiled;
}

void tell_inexact(const PathRules& rules, const LogSink& log) {
  const auto& globs = rules.tables.inexact;
  if (globs.empty() || !log) return;
  log(LogLevel::warning,
      std::to_string(globs.size()) +
          " patterns of paths are too intricate for the kernel, which sends more than needed for user "
          "space to decide: '" +
          globs.front() + (globs.size() > 1 ? "' and others" : "'"));
}

RuleRoom room_for(const PathRules& rules, bool reloads) {
  // With a configuration file, SIGHUP can bring more: some hundred rules in any case, and four times what there is.
  constexpr std::size_t least_states = 1 << 14;
  constexpr std::size_t least_edges = 1 << 15;
  constexpr std::size_t least_verdicts = 1 << 9;
  const auto rows = [reloads](std::size_t used, std::size_t least) {
    if (!reloads) return static_cast<std::uint32_t>(WIRE_RULE_SETS * std::max<std::size_t>(used, 1));
    return static_cast<std::uint32_t>(WIRE_RULE_SETS * std::max(std::bit_ceil(2 * used), least));
  };
  if (!rules.needed && !reloads) return {};
  return {rows(rules.tables.states.size(), least_states), rows(rules.tables.edges.size(), least_edges),
          rows(rules.tables.verdicts.size(), least_verdicts), rows(rules.names.size(), least_verdicts)};
}

Result<KernelRules> KernelRules::open(std::span<const Map> maps) {
  KernelRules rules;
  const std::pair<std::string_view, std::optional<Map> KernelRules::*> wanted[] = {
      {"path_rule_states", &KernelRules::states_},
      {"path_rule_edges", &KernelRules::edges_},
      {"path_rule_verdicts", &KernelRules::verdicts_},
      {"path_rule_sets", &KernelRules::sets_},
      {"path_rules_now", &KernelRules::now_}};
  for (const Map& map : maps) {
    for (const auto& [name, member] : wanted) {
      if (map.name() == name) rules.*member = NIGHTJAR_TRY(map.duplicate());
    }
    if (map.name() == "path_rule_drops") rules.counts_.emplace(NIGHTJAR_TRY(MappedArray::of(map)));
  }
  for (const auto& [name, member] : wanted) {
    if (!(rules.*member) && rules.now_)
      return Error(errc::invalid, "the BPF object lacks the map " + std::string(name));
  }
  if (!rules.counts_ && rules.now_) return Error(errc::invalid, "the BPF object lacks the map path_rule_drops");
  return rules;
}

Result<> KernelRules::adopt(const PathRules& rules) {
  if (!now_) return {};
  if (!rules.needed) {
    NIGHTJAR_CHECK(switch_to(0));
    return {};
  }
  const std::uint32_t half = current_ == 1 ? 1 : 0;
  const auto fits = [](const Map& map, std::size_t rows) { return rows <= map.max_entries() / WIRE_RULE_SETS; };
  const std::uint32_t count_rows = counts_->entries() / WIRE_RULE_SETS;
  if (!fits(*states_, rules.tables.states.size()) || !fits(*edges_, rules.tables.edges.size()) ||
      !fits(*verdicts_, rules.tables.verdicts.size()) || rules.names.size() > count_rows) {
    NIGHTJAR_CHECK(switch_to(0));
    return Error(errc::system,
                 "the rules on paths have outgrown the room that the start made for them in the kernel: " +
                     std::to_string(rules.tables.edges.size()) + " edges, room for " +
                     std::to_string(edges_->max_entries() / WIRE_RULE_SETS));
  }
  // Nothing counts there any more since the switch away from it.
  add_counts(half, before_);
  names_.at(half).clear();
  NIGHTJAR_CHECK(put(half, rules));
  names_.at(half) = rules.names;
  NIGHTJAR_CHECK(switch_to(half + 1));
  current_ = half + 1;
  return {};
}

Result<> KernelRules::put(std::uint32_t half, const PathRules& rules) const {
  const auto write = [half](const Map& map, const auto& rows) -> Result<std::uint32_t> {
    const std::uint32_t first = half * (map.max_entries() / WIRE_RULE_SETS);
    std::vector<std::uint32_t> keys(rows.size());
    std::iota(keys.begin(), keys.end(), first);
    NIGHTJAR_CHECK(map.set_all(std::as_bytes(std::span(keys)), std::as_bytes(std::span(rows))));
    return first;
  };
  wire_rule_set set = rules.tables.set;
  set.first_state = NIGHTJAR_TRY(write(*states_, rules.tables.states));
  set.first_edge = NIGHTJAR_TRY(write(*edges_, rules.tables.edges));
  set.first_verdict = NIGHTJAR_TRY(write(*verdicts_, rules.tables.verdicts));
  set.first_count = half * (counts_->entries() / WIRE_RULE_SETS);
  for (std::uint32_t i = 0; i < rules.names.size(); ++i) *counts_->at<std::uint64_t>(set.first_count + i) = 0;
  return sets_->set(half, set);
}

Result<> KernelRules::switch_to(std::uint32_t now) {
  NIGHTJAR_CHECK(now_->set(std::uint32_t{0}, now));
  if (std::exchange(in_force_, now) == 0) return {};  // nobody reads tables that are none
  // Programs are read-side critical sections of RCU, and this waits for those that there are (synchronize_rcu).
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0) {
    constexpr useconds_t longer_than_any_program = 100'000;
    usleep(longer_than_any_program);
  }
  return {};
}

void KernelRules::add_counts(std::uint32_t half, std::map<std::string, std::uint64_t>& to) const {
  const std::uint32_t first = half * (counts_->entries() / WIRE_RULE_SETS);
  for (std::uint32_t i = 1; i < names_.at(half).size(); ++i) {
    const std::uint64_t count = *counts_->at<std::uint64_t>(first + i);
    if (count != 0) to[names_.at(half)[i]] += count;
  }
}

std::map<std::string, std::uint64_t> KernelRules::drops() const {
  std::map<std::string, std::uint64_t> drops = before_;
  for (std::uint32_t half = 0; half < WIRE_RULE_SETS; ++half) {
    if (!names_.at(half).empty()) add_counts(half, drops);
  }
  return drops;
}

}  // namespace nightjar
