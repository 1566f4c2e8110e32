// SPDX-License-Identifier: Apache-2.0
#include "agent/report_index.hpp"

#include <algorithm>

#include "agent/recorded.hpp"
#include "wire/events.hpp"

namespace nightjar {
namespace {

using nlohmann::json;

constexpr std::size_t longest_command = 400;  // a row shows less; the whole one is in the event

std::string user_of(const json& event) {
  std::string name = text_at(event, "user.name");
  return name.empty() ? text_at(event, "user.id") : name;
}

}  // namespace

ReportIndex::Number ReportIndex::text(std::string text, std::size_t longest) {
  if (text.empty()) return none;
  if (text.size() > longest) {
    while (longest > 0 && (static_cast<unsigned char>(text[longest]) & 0xc0U) == 0x80U) --longest;
    text.resize(longest);
  }
  const auto [at, added] = text_numbers_.emplace(std::move(text), static_cast<Number>(texts_.size()));
  if (added) texts_.push_back(at->first);
  return at->second;
}

ReportIndex::Process& ReportIndex::process(const std::string& entity, Number& number) {
  const auto [at, added] = process_numbers_.emplace(entity, static_cast<Number>(processes_.size()));
  number = at->second;
  if (added) processes_.emplace_back();
  return processes_[static_cast<std::size_t>(number)];
}

ReportIndex::Number ReportIndex::take_process(const json& event, const std::string& action, std::int64_t when) {
  const std::string entity = text_at(event, "process.entity_id");
  if (entity.empty()) return none;
  Number number = none;
  Number parent = none;
  const std::string parent_entity = text_at(event, "process.parent.entity_id");
  if (!parent_entity.empty() && parent_entity != entity) {
    Process& known = process(parent_entity, parent);
    if (known.pid == 0) {
      known.pid = number_at(event, "process.parent.pid");
      known.name = text(text_at(event, "process.parent.name"));
      known.executable = text(text_at(event, "process.parent.executable"));
    }
  }
  Process& process = this->process(entity, number);
  const auto newer = [](Number& at, Number value) {
    if (value != none) at = value;
  };
  if (const std::uint64_t pid = number_at(event, "process.pid")) process.pid = pid;
  newer(process.name, text(text_at(event, "process.name")));
  newer(process.executable, text(text_at(event, "process.executable")));
  newer(process.command, text(text_at(event, "process.command_line"), longest_command));
  newer(process.user, text(user_of(event)));
  if (process.parent == none) process.parent = parent;
  if (const std::int64_t start = time_at(event, "process.start"); start != no_time) process.start = start;
  if (action == "exit") {
    process.end = when;
    process.code = text(text_at(event, "process.exit_code"));
    process.signal = text(text_at(event, "nightjar.exit.signal"));
  }
  return number;
}

void ReportIndex::take(const json& event, const std::string& action) {
  const auto [at, added] = action_numbers_.emplace(action, static_cast<Number>(actions_.size()));
  if (added) {
    actions_.push_back(action);
    of_sensor_.push_back(std::ranges::any_of(
        all_events(), [&](const EventInfo& info) { return info.action == action && info.family == "sensor"; }));
  }
  const std::int64_t when = time_at(event, "@timestamp");
  const bool of_sensor = of_sensor_[static_cast<std::size_t>(at->second)];
  events_.push_back({when, of_sensor ? none : take_process(event, action, when), at->second});
}

json ReportIndex::told() const {
  std::int64_t first = no_time;
  std::int64_t last = no_time;
  for (const Event& event : events_) {
    if (event.when == no_time) continue;
    first = first == no_time ? event.when : std::min(first, event.when);
    last = std::max(last, event.when);
  }
  if (first == no_time) first = last = 0;
  const auto since = [&](std::int64_t when) { return when == no_time ? json() : json((when - first) / 1000); };
  json when = json::array();
  json process = json::array();
  json action = json::array();
  for (const Event& event : events_) {
    when.push_back(since(event.when));
    process.push_back(event.process);
    action.push_back(event.action);
  }
  json processes = json::array();
  for (const Process& one : processes_)
    processes.push_back(json::array({one.pid, one.name, one.executable, one.command, one.user, one.parent,
                                     since(one.start), since(one.end), one.code, one.signal}));
  json told = {
      {"first_ms", first / 1'000'000}, {"span_us", (last - first) / 1000}, {"texts", texts_}, {"actions", actions_}};
  told["processes"] = std::move(processes);
  told["when"] = std::move(when);
  told["process"] = std::move(process);
  told["action"] = std::move(action);
  return told;
}

}  // namespace nightjar
