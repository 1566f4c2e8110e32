// SPDX-License-Identifier: Apache-2.0
// Which events the rules of the configuration let through.
#include <algorithm>

#include "agent/pipeline.hpp"

namespace nightjar {

/// The values of the event that is about to be encoded, taken from the same places as the encoder's.
class Pipeline::CurrentEvent : public EventValues {
 public:
  CurrentEvent(const SubjectLeaves& leaves, Bytes record, const Facts& facts)
      : leaves_(leaves), record_(record), facts_(facts) {}

  std::span<const std::string> values(Subject subject) override {
    const auto index = static_cast<std::size_t>(subject);
    auto& known = values_[index];
    if (std::exchange(asked_[index], true)) return known;
    for (const Leaf& leaf : leaves_[index]) {
      std::string text;
      std::vector<json::Named> raw;
      if (leaf.field == nullptr) {
        text = facts_[leaf.fact];
      } else if (!write_field(text, *leaf.field, record_, leaf.offset, raw)) {
        continue;
      }
      if (text.empty()) continue;
      // Patterns are asked of the exact bytes, as the kernel does (bpf/rules.bpf.h).
      const auto& inexact = leaf.field == nullptr ? facts_.raw : raw;
      const auto name = leaf.field == nullptr ? fact_info(leaf.fact).name : leaf.field->name;
      const auto exact =
          std::find_if(inexact.begin(), inexact.end(), [&](const auto& one) { return one.first == name; });
      known.push_back(exact == inexact.end() ? json::unquoted(text) : json::from_base64(exact->second));
    }
    return known;
  }

 private:
  const SubjectLeaves& leaves_;
  Bytes record_;
  const Facts& facts_;
  std::array<std::vector<std::string>, subject_count> values_;
  std::array<bool, subject_count> asked_{};
};

std::vector<Pipeline::SubjectLeaves> Pipeline::subject_leaves() {
  std::vector<SubjectLeaves> all;
  for (const EventInfo& event : all_events()) {
    SubjectLeaves& leaves = all.emplace_back();
    for (const Source& source : sources_of(event, {})) {
      for (std::size_t i = 0; i < subject_count; ++i) {
        const auto names = fields_of(static_cast<Subject>(i));
        if (std::find(names.begin(), names.end(), source.name) != names.end()) leaves[i].push_back(source.leaf);
      }
    }
  }
  return all;
}

void Pipeline::teach_rules(const EventInfo& event, Bytes record) {
  ScalarRules* rules = settings_.scalar_rules;
  // What the kernel side never drops needs no verdict: a process may do nothing else.
  const auto kind = static_cast<unsigned>(event.kind);
  if (rules == nullptr || kind >= WIRE_KIND_END || (WIRE_KINDS_KEPT >> kind & 1) != 0) return;
  struct Start {
    wire_header hdr;
    wire_task task;
  };
  const wire_task& task = as_wire<Start>(record).task;
  if (rules->asks_images()) {
    Process* process = processes_.find(key_of(task));
    if (process != nullptr && process->image && process->rules_generation != rules->generation()) {
      process->rules_generation = rules->generation();
      rules->learn_image(task.pid, task.start_ns, process->exec_ns, json::unquoted(process->image->executable));
    }
  }
  if (rules->asks_cgroups()) {
    Cgroup* cgroup = find_cgroup(task.cgroup_id);
    if (cgroup != nullptr && cgroup->rules_generation != rules->generation()) {
      cgroup->rules_generation = rules->generation();
      const auto text = [](const std::string& json) { return json.empty() ? std::string() : json::unquoted(json); };
      rules->learn_cgroup(task.cgroup_id, {text(cgroup->path), text(cgroup->id)});
    }
  }
}

bool Pipeline::passes(const EventInfo& event, Bytes record) {
  if (!settings_.filter || settings_.filter->idle() || event.family == "sensor") return true;
  teach_rules(event, record);
  const auto index = static_cast<std::size_t>(&event - all_events().data());
  CurrentEvent current(subject_leaves_[index], record, facts_);
  const auto [keep, rule] = settings_.filter->decide(event.kind, current);
  if (!keep) {
    ++suppressed_[rule == nullptr ? "default" : rule->id];
    return false;
  }
  if (rule != nullptr) {
    rule_id_ = *rule_ids_.insert(rule->id).first;
    std::string& id = scratch();
    json::string(id, rule->id);
    facts_[Fact::rule_id] = id;
    std::string& tags = scratch();
    for (const std::string& tag : rule->tags) {
      tags += tags.empty() ? '[' : ',';
      json::string(tags, tag);
    }
    if (!tags.empty()) tags += ']';
    facts_[Fact::rule_tags] = tags;
  }
  return true;
}

void Pipeline::adopt(std::shared_ptr<const Filter> filter, std::vector<std::string> environment, bool user_names) {
  settings_.filter = std::move(filter);
  settings_.environment = std::move(environment);
  settings_.user_names = user_names;
}

}  // namespace nightjar
