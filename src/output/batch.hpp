// SPDX-License-Identifier: Apache-2.0
// Encoded events on their way to the outputs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "wire/events.hpp"

namespace nightjar {

/// One event of a batch: what it is, where its line ends (behind the newline), and the rule that let it through: empty
/// for none, and good until the batch was written to the outputs.
struct Line {
  Kind kind;
  std::uint32_t end;
  std::string_view rule = {};
};

/// Whole lines of one format, in the order of the stream.
struct Batch {
  std::string text;
  std::vector<Line> lines;

  [[nodiscard]] bool empty() const { return lines.empty(); }
  [[nodiscard]] std::uint32_t begin_of(std::size_t index) const { return index == 0 ? 0 : lines[index - 1].end; }
  /// With its newline.
  [[nodiscard]] std::string_view line(std::size_t index) const {
    return std::string_view(text).substr(begin_of(index), lines[index].end - begin_of(index));
  }
  /// The lines from that one on.
  [[nodiscard]] std::string_view rest(std::size_t from) const { return std::string_view(text).substr(begin_of(from)); }
  void add(Kind kind, std::string_view line) {
    text += line;
    lines.push_back({kind, static_cast<std::uint32_t>(text.size())});
  }
  void clear() {
    text.clear();
    lines.clear();
  }
};

/// Events by kind, for the accounts of what was delivered and lost.
using Tally = std::map<Kind, std::uint64_t>;

}  // namespace nightjar
