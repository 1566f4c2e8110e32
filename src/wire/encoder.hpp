// SPDX-License-Identifier: Apache-2.0
// One event as one line of JSON, ECS or OCSF, from its record, its facts and the tables of events.hpp.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "wire/events.hpp"
#include "wire/json.hpp"
#include "wire/plan.hpp"
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
  explicit Encoder(const std::vector<json::Named>& constants, Format format = Format::ecs);

  /// Appends the event and a newline to `to`. The record must be one of the event's kind that checked_record accepted.
  /// Facts that do not apply to the event are ignored.
  void encode(std::string& to, const EventInfo& event, Bytes record, Facts& facts) const;

 private:
  std::vector<Plan> plans_;  // in the order of all_events()
};

/// Text of a field for tests and tools: false when the field's value says "not there".
bool write_field(std::string& to, const wire::Field& field, Bytes record, std::uint32_t offset,
                 std::vector<json::Named>& raw);

}  // namespace nightjar
