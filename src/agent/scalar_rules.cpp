// SPDX-License-Identifier: Apache-2.0
#include "agent/scalar_rules.hpp"

#include <algorithm>
#include <span>
#include <tuple>

#include "wire/plan.hpp"

namespace nightjar {
namespace {

constexpr std::uint64_t bit(Kind kind) {
  const auto number = static_cast<unsigned>(kind);
  return number < 64 ? 1ULL << number : 0;
}

/// Kinds whose events can have a value of that sort; of others no such rule asks.
std::uint64_t kinds_with(Subject subject) {
  std::uint64_t kinds = 0;
  const auto names = fields_of(subject);
  for (const EventInfo& event : all_events()) {
    const auto sources = sources_of(event, {});
    if (std::ranges::any_of(sources,
                            [&](const Source& source) { return std::ranges::find(names, source.name) != names.end(); }))
      kinds |= bit(event.kind);
  }
  return kinds;
}

bool asks(const Rule& rule, Subject subject) {
  const auto index = static_cast<std::size_t>(subject);
  return !rule.patterns[index].empty() || !rule.ranges[index].empty();
}

constexpr wire_scalar_range no_range{1, 0};

/// False: there are more ranges than the kernel side takes.
bool put_ranges(std::span<wire_scalar_range> to, const std::vector<NumberRange>& from) {
  std::ranges::fill(to, no_range);
  if (from.size() > to.size()) return false;
  for (std::size_t i = 0; i < from.size(); ++i)
    to[i] = {static_cast<std::uint32_t>(from[i].first), static_cast<std::uint32_t>(from[i].last)};
  return true;
}

wire_scalar_rule compile(const Rule& rule, std::uint32_t& asked) {
  wire_scalar_rule out{};
  out.kinds = rule.events.empty() ? ~0ULL : 0;
  for (const Kind kind : rule.events) out.kinds |= bit(kind);
  if (!rule.keep) out.flags |= WIRE_RULE_DROP;
  for (const auto& [subject, ranges, flag, ask] :
       {std::tuple{Subject::uid, std::span(out.uid), WIRE_RULE_UID, std::uint32_t{WIRE_RULES_ASK_USER}},
        std::tuple{Subject::login_uid, std::span(out.login_uid), WIRE_RULE_LOGIN_UID,
                   std::uint32_t{WIRE_RULES_ASK_USER}},
        std::tuple{Subject::port, std::span(out.port), WIRE_RULE_PORT, std::uint32_t{0}}}) {
    const bool fits = put_ranges(ranges, rule.ranges[static_cast<std::size_t>(subject)]);
    if (!asks(rule, subject)) continue;
    if (subject == Subject::port) out.kinds &= kinds_with(subject);
    out.flags |= static_cast<std::uint32_t>(fits ? flag : WIRE_RULE_UNSURE);
    if (fits) asked |= ask;
  }
  if (asks(rule, Subject::executable)) {
    out.flags |= WIRE_RULE_IMAGE;
    asked |= WIRE_RULES_ASK_IMAGE;
  }
  if (asks(rule, Subject::cgroup) || asks(rule, Subject::container)) {
    out.flags |= WIRE_RULE_CGROUP;
    asked |= WIRE_RULES_ASK_CGROUP;
  }
  if (asks(rule, Subject::path)) {
    out.kinds &= kinds_with(Subject::path);
    out.flags |= WIRE_RULE_UNSURE;
  }
  return out;
}

bool meets(const Rule& rule, Subject subject, const std::string& value) {
  const auto& patterns = rule.patterns[static_cast<std::size_t>(subject)];
  if (patterns.empty()) return true;
  return !value.empty() && std::ranges::any_of(patterns, [&](const auto& p) { return glob_matches(p, value); });
}

/// Bit N: rule N meets `condition`.
template <class Condition>
std::uint32_t mask_of(const Filter& filter, std::uint32_t count, Condition condition) {
  std::uint32_t mask = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (condition(filter.rules[i])) mask |= 1U << i;
  }
  return mask;
}

}  // namespace

CompiledRules compile_rules(const Filter& filter) {
  CompiledRules all;
  for (const Rule& rule : filter.rules) {
    if (all.set.count == WIRE_RULES) break;
    all.set.rules[all.set.count++] = compile(rule, all.asks);
    all.ids.push_back(rule.id);
  }
  if (!filter.keep_others && filter.rules.size() <= WIRE_RULES) {
    for (const EventInfo& event : all_events()) all.set.drop_others |= bit(event.kind);
  }
  return all;
}

Result<> ScalarRules::install(std::shared_ptr<const Filter> filter) {
  look();  // the set that is written over may hold counts of before
  CompiledRules compiled = compile_rules(*filter);
  const bool any = std::any_of(compiled.set.rules, compiled.set.rules + compiled.set.count,
                               [](const wire_scalar_rule& rule) { return (rule.flags & WIRE_RULE_DROP) != 0; }) ||
                   compiled.set.drop_others != 0;
  compiled.set.generation = generation_ + 1;
  const std::uint32_t slot = 1 - slot_;
  if (auto written = maps_.sets.set(slot, compiled.set); !written) {
    use_(0);  // those before would drop what is to be kept now
    compiled_ = {};
    return written;
  }
  ++generation_;
  slot_ = slot;
  ids_[slot] = compiled.ids;
  ids_[slot].resize(WIRE_RULES + 1);
  ids_[slot][WIRE_RULES] = "default";
  compiled_ = std::move(compiled);
  filter_ = std::move(filter);
  use_(any ? (slot + 1) | compiled_.asks : 0);
  return {};
}

void ScalarRules::learn_image(std::uint32_t pid, std::uint64_t start_ns, std::uint64_t exec_ns,
                              const std::string& executable) {
  const wire_image_key key{exec_ns, pid, 0};
  const wire_verdict verdict{start_ns, generation_, mask_of(*filter_, compiled_.set.count, [&](const Rule& rule) {
                               return meets(rule, Subject::executable, executable);
                             })};
  // Not told: user space goes on to ask.
  (void)maps_.images.set(key, verdict);
}

void ScalarRules::learn_cgroup(std::uint64_t id, const CgroupNames& names) {
  const wire_verdict verdict{0, generation_, mask_of(*filter_, compiled_.set.count, [&](const Rule& rule) {
                               return meets(rule, Subject::cgroup, names.path) &&
                                      meets(rule, Subject::container, names.container);
                             })};
  (void)maps_.cgroups.set(id, verdict);
}

void ScalarRules::look() {
  constexpr std::uint32_t row = 2 * (WIRE_RULES + 1);  // of a CPU

  for (std::uint32_t slot = 0; slot < 2; ++slot) {
    for (std::uint32_t at = 0; at < ids_[slot].size(); ++at) {
      if (ids_[slot][at].empty()) continue;
      std::uint64_t now = 0;
      for (std::uint32_t i = slot * (WIRE_RULES + 1) + at; i < maps_.counts.entries(); i += row)
        now += *maps_.counts.at<std::uint64_t>(i);
      if (now != seen_[slot][at]) suppressed_[ids_[slot][at]] += now - seen_[slot][at];
      seen_[slot][at] = now;
    }
  }
}

}  // namespace nightjar
