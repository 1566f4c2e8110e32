// SPDX-License-Identifier: Apache-2.0
#include "agent/process_table.hpp"

namespace nightjar {
namespace {

constexpr std::size_t ended_kept = 4096;  // processes: some seconds of a busy machine

}  // namespace

Process* ProcessTable::find(ProcessKey key) {
  const auto found = processes_.find(key);
  return found == processes_.end() ? nullptr : &found->second;
}

Process* ProcessTable::find_live(std::uint32_t pid) {
  const auto found = live_.find(pid);
  return found == live_.end() ? nullptr : find(found->second);
}

Process& ProcessTable::put(Process process) {
  make_room();
  const ProcessKey key = process.key;
  live_[key.pid] = key;
  return processes_.insert_or_assign(key, std::move(process)).first->second;
}

void ProcessTable::ended(ProcessKey key) {
  const auto live = live_.find(key.pid);
  if (live != live_.end() && live->second == key) live_.erase(live);
  if (!processes_.contains(key)) return;
  ended_.push_back(key);
  if (ended_.size() > ended_kept) {
    processes_.erase(ended_.front());
    ended_.pop_front();
  }
}

std::string ProcessTable::ancestors(const Process& process, std::size_t limit) {
  std::string text;
  const Process* next = &process;
  for (std::size_t told = 0; told < limit && (next = find(next->parent)) != nullptr; ++told) {
    text += told == 0 ? "[{\"entity_id\":" : ",{\"entity_id\":";
    text += next->entity_id;
    text += ",\"pid\":";
    json::number(text, next->key.pid);
    if (next->image && !next->image->executable.empty()) {
      text += ",\"executable\":";
      text += next->image->executable;
    }
    text += '}';
  }
  if (!text.empty()) text += ']';
  return text;
}

void ProcessTable::make_room() {
  while (processes_.size() >= limit_) {
    if (!ended_.empty()) {
      processes_.erase(ended_.front());
      ended_.pop_front();
      continue;
    }
    // Exits that were lost leave entries behind; which one goes matters less than that memory stays bounded.
    const auto victim = processes_.begin();
    live_.erase(victim->first.pid);
    processes_.erase(victim);
    ++forgotten_;
  }
}

}  // namespace nightjar
