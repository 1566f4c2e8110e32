// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "wire/record.hpp"

namespace nightjar {

/// Where a record came from.
struct Origin {
  static constexpr std::uint32_t no_buffer = ~0U;
  std::uint32_t source = no_buffer;  ///< number of the buffer; of the agent's own records: none
  std::uint64_t position = 0;
  [[nodiscard]] bool is_in_buffer() const { return source != no_buffer; }
};

/// Puts the records of several buffers (the perf buffers of the CPUs, or the two ring buffers) into the order in which
/// they happened. (One ring buffer alone has that order by itself.) A round reads every buffer, so what was sent before
/// it began is there at its end. A program stamps its record before it sends it, and on a busy virtual CPU much can
/// come between: what bears a time some milliseconds (`hold_ns`) before the round can no longer be overtaken, and is
/// ripe. Memory: what comes in those milliseconds and one round.
class Merger {
 public:
  explicit Merger(std::uint64_t hold_ns);
  /// Returns the time that it bears.
  std::uint64_t add(Bytes record, const Origin& origin = {});
  /// Call before a round of reading, with the boot clock.
  void begin_round(std::uint64_t now_ns);
  /// In a round: of some buffer only the records up to this one were read. Those behind it may be older than what other
  /// buffers had.
  void read_up_to(std::uint64_t time_ns);
  /// Gives what is ripe, oldest first; everything when `all`. `take` must add nothing.
  void give(bool all, const std::function<void(Bytes, const Origin&)>& take);
  /// After give(): when to begin a round that was wanted at `wanted_ns` (boot clock). Not before the oldest record held
  /// back is ripe, and not later than when the newest is.
  [[nodiscard]] std::uint64_t next_round_ns(std::uint64_t wanted_ns) const;
  /// What is held back, in no order.
  void for_each(const std::function<void(Bytes, const Origin&)>& visit) const;
  [[nodiscard]] bool empty() const { return held_.empty(); }

 private:
  struct Held {
    std::uint64_t time_ns;
    std::size_t begin;  // in words_
    std::size_t size;   // bytes
    Origin origin;
  };
  [[nodiscard]] Bytes record_of(const Held& held) const {
    return std::as_bytes(std::span(words_).subspan(held.begin)).first(held.size);
  }
  void let_go_of_given();

  const std::uint64_t hold_ns_;
  std::vector<Held> held_;  // up to sorted_ by time, then as they came
  std::size_t sorted_ = 0;
  std::vector<std::uint64_t> words_;  // the records one after the other, aligned as records are
  std::vector<std::uint64_t> spare_;  // for what is held, when most of words_ was given
  std::uint64_t ripe_before_ns_ = 0;
};

}  // namespace nightjar
