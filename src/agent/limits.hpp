// SPDX-License-Identifier: Apache-2.0
// What the rate limits in the kernel held back (bpf/limit.bpf.h).
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "wire/base.h"

namespace nightjar {

class Limits {
 public:
  /// The rows of the map, shared with the programs.
  explicit Limits(std::span<wire_limit> rows) : rows_(rows) {}

  /// Takes over what was held back since the last look. Makes no system call; looks at one number when there is
  /// nothing.
  void look();
  /// Whether there is so much to tell that it should not wait.
  [[nodiscard]] bool is_urgent() const { return untold_.size() >= most_untold; }
  /// What was not told yet, by key: "rate_limit:EVENT:PID".
  std::map<std::string, std::uint64_t> take() { return std::exchange(untold_, {}); }
  /// Held back since the start, as of the last look.
  [[nodiscard]] std::uint64_t suppressed() const { return seen_; }

 private:
  static constexpr std::size_t most_untold = 1024;
  std::span<wire_limit> rows_;
  std::uint64_t seen_ = 0;
  std::map<std::string, std::uint64_t> untold_;
};

}  // namespace nightjar
