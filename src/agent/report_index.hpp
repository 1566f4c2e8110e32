// SPDX-License-Identifier: Apache-2.0
// What the report's first view needs of all events, worked out before: a browser that had to parse every event first
// would show nothing for seconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

#include "agent/recorded.hpp"

namespace nightjar {

/// Processes, and when each event happened, to whom, and what it was.
class ReportIndex {
 public:
  /// The next event, whole.
  void take(const nlohmann::json& event, const std::string& action);
  [[nodiscard]] std::size_t size() const { return events_.size(); }
  /// As the page reads it: times in microseconds since the first event, texts by their number, null: not known.
  [[nodiscard]] nlohmann::json told() const;

 private:
  using Number = std::int32_t;
  static constexpr Number none = -1;
  struct Event {
    std::int64_t when;
    Number process, action;
  };
  struct Process {
    std::uint64_t pid = 0;
    Number name = none, executable = none, command = none, user = none, parent = none, code = none, signal = none;
    std::int64_t start = no_time, end = no_time;
  };
  Number text(std::string text, std::size_t longest = 4096);
  Process& process(const std::string& entity, Number& number);
  Number take_process(const nlohmann::json& event, const std::string& action, std::int64_t when);

  std::vector<Event> events_;
  std::vector<Process> processes_;
  std::unordered_map<std::string, Number> process_numbers_, text_numbers_, action_numbers_;
  std::vector<std::string> texts_, actions_;
  std::vector<bool> of_sensor_;  ///< for each action: it tells of the sensor, not of a process
};

}  // namespace nightjar
