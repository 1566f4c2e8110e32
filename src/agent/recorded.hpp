// SPDX-License-Identifier: Apache-2.0
// Events that were written before, read again: cut, mixed and hostile files included.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace nightjar {

/// The value at a dotted name; null when there is none.
const nlohmann::json* value_at(const nlohmann::json& event, std::string_view dotted);
/// The text there, or the number as text; empty when there is neither.
std::string text_at(const nlohmann::json& event, std::string_view dotted);
std::uint64_t number_at(const nlohmann::json& event, std::string_view dotted);

inline constexpr std::int64_t no_time = INT64_MIN;
/// A time of RFC 3339 in UTC as nanoseconds since 1970; no_time when there is none.
std::int64_t time_at(const nlohmann::json& event, std::string_view dotted);

/// One line as an event; a discarded value when it is none: no JSON, no object, no event.action, or nested beyond
/// reason.
nlohmann::json parse_event(std::string_view line);

/// Numbers of the streams in a file: each begins at its first event, and goes up by one.
class SequenceCheck {
 public:
  void see(std::uint64_t sequence) {
    if (sequence > last_ + 1 && last_ != 0) missing_ += sequence - last_ - 1;
    last_ = sequence;  // one that goes back begins another stream
  }
  [[nodiscard]] std::uint64_t missing() const { return missing_; }
  void new_file() { last_ = 0; }

 private:
  std::uint64_t last_ = 0;
  std::uint64_t missing_ = 0;
};

}  // namespace nightjar
