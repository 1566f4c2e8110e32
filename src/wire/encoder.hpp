// SPDX-License-Identifier: Apache-2.0
// One event as one line of JSON, ECS or OCSF, from its record, its facts and the tables of events.hpp.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wire/events.hpp"
#include "wire/facts.hpp"
#include "wire/json.hpp"
#include "wire/passages.hpp"
#include "wire/plan.hpp"
#include "wire/record.hpp"

namespace nightjar {

class Encoder {
 public:
  /// `constants` are fields with the same value in every event (host.*), already JSON.
  explicit Encoder(const std::vector<json::Named>& constants, Format format = Format::ecs);

  /// Appends the event and a newline to `to`. The record must be one of the event's kind that checked_record accepted.
  /// Facts that do not apply to the event are ignored.
  void encode(std::string& to, const EventInfo& event, Bytes record, Facts& facts);

 private:
  class Line;
  const Passage* shared(Plan steps);

  std::vector<Plan> plans_;                               // in the order of all_events()
  std::vector<std::shared_ptr<const Passage>> passages_;  // most events have the same
  PassageTexts texts_;
};

/// Text of a field for tests and tools: false when the field's value says "not there".
bool write_field(std::string& to, const wire::Field& field, Bytes record, std::uint32_t offset,
                 std::vector<json::Named>& raw);

}  // namespace nightjar
