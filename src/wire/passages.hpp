// SPDX-License-Identifier: Apache-2.0
// Two thirds of a line say who acts, and say the same in the next event of that process. Such a passage's text follows
// from some bytes of the record and some facts, and from nothing else: where these are what they were, the text is,
// too.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "wire/facts.hpp"
#include "wire/plan.hpp"
#include "wire/record.hpp"

namespace nightjar {

/// Steps whose values seldom change, and all that their text follows from.
class Passage {
 public:
  explicit Passage(Plan steps);

  [[nodiscard]] const Plan& steps() const { return steps_; }
  /// Whether `inputs`, which inputs() of this passage gave, is what it would give again.
  [[nodiscard]] bool reads(Bytes record, const Facts& facts, std::string_view inputs) const;
  [[nodiscard]] std::string inputs(Bytes record, const Facts& facts) const;
  /// Of the record's part of the inputs.
  [[nodiscard]] std::size_t hash(Bytes record) const;
  bool operator==(const Passage& other) const;

 private:
  struct Range {
    std::uint32_t offset, size;
  };
  Plan steps_;
  std::vector<Range> ranges_;  ///< of the record, in order, none beside another
  std::vector<Fact> facts_;
};

/// Texts of passages: a place for each hash, and whoever comes twice takes it.
class PassageTexts {
 public:
  struct Text {
    const Passage* passage = nullptr;
    std::string inputs, text;
    std::size_t last_hash = 0;  ///< of whatever asked last, kept or not
  };
  Text& place_of(std::size_t hash) { return texts_[hash % places]; }

 private:
  static constexpr std::size_t places = 256;
  std::array<Text, places> texts_;
};

}  // namespace nightjar
