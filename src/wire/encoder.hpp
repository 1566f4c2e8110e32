// SPDX-License-Identifier: Apache-2.0
// One event as one line of ECS JSON, from its record, its facts and the tables of events.hpp.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "wire/events.hpp"
#include "wire/json.hpp"
#include "wire/record.hpp"

namespace nightjar {

/// Values that user space adds: finished JSON, empty for absent. Views: they must outlive the call of encode().
struct Facts {
  std::array<std::string_view, fact_count> values{};
  std::vector<json::Named> raw;  ///< exact bytes of text fields that were not UTF-8

  std::string_view& operator[](Fact fact) { return values[static_cast<std::size_t>(fact)]; }
  std::string_view operator[](Fact fact) const { return values[static_cast<std::size_t>(fact)]; }
  void clear() {
    values.fill({});
    raw.clear();
  }
};

class Encoder {
 public:
  /// `constants` are fields with the same value in every event (host.*), already JSON.
  explicit Encoder(const std::vector<json::Named>& constants);

  /// Appends the event and a newline to `to`. The record must be one of the event's kind that checked_record accepted.
  /// Facts that do not apply to the event are ignored.
  void encode(std::string& to, const EventInfo& event, Bytes record, Facts& facts) const;

 private:
  /// One step of writing an event: what comes next in the nested object. Objects open only when something in them is
  /// there.
  struct Step {
    enum class What : std::uint8_t { open, close, field, fact, constant } what;
    std::string key;  ///< `"name":`, for close unused
    const wire::Field* field = nullptr;
    std::uint32_t offset = 0;  ///< of the field in the whole record
    Fact fact = Fact::count_;
    std::string value;  ///< of a constant
  };
  using Plan = std::vector<Step>;

  static Plan make_plan(const EventInfo& event, const std::vector<json::Named>& constants);
  std::vector<Plan> plans_;  // in the order of all_events()
};

/// Text of a field for tests and tools: false when the field's value says "not there".
bool write_field(std::string& to, const wire::Field& field, Bytes record, std::uint32_t offset,
                 std::vector<json::Named>& raw);

}  // namespace nightjar
