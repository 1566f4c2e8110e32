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
  /// Goes on after an agent that is gone: what that took from the rows and did not tell is told under "rate_limit".
  void resume();
  /// What take() gave is told: nothing of it is lost with this process.
  void settle();
  /// What was not told yet, by key: "rate_limit:EVENT:PID".
  std::map<std::string, std::uint64_t> take() { return std::exchange(untold_, {}); }
  /// Held back since the start, as of the last look.
  [[nodiscard]] std::uint64_t suppressed() const { return seen_; }

 private:
  static constexpr std::size_t most_untold = 1024;
  std::span<wire_limit> rows_;
  std::uint64_t seen_ = 0;
  std::uint64_t taken_ = 0;  // from the rows; `told` of the first row follows once it is told
  std::map<std::string, std::uint64_t> untold_;
};

}  // namespace nightjar
