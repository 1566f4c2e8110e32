// SPDX-License-Identifier: Apache-2.0
// How far the events have come, when the kernel side outlives the agent (--pin): what the outputs have is marked, and
// the kernel's buffers are let go behind it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "agent/merger.hpp"
#include "agent/pin_state.hpp"
#include "nightjar/event_source.hpp"
#include "nightjar/log.hpp"

namespace nightjar {

class Progress {
 public:
  Progress(PinState& state, const WriteJournal& journal, std::vector<EventSource>& sources, LogSink log);

  /// An agent before this one delivered the record.
  [[nodiscard]] bool was_delivered(const Origin& origin) const {
    return origin.is_in_buffer() && state_.is_marked(origin);
  }
  /// The pipeline dealt with the record, which is of that kind.
  void took(const Origin& origin, unsigned kind);
  /// What was taken is with the outputs, in their batch number `ticket` at the latest.
  void flushed(std::uint64_t ticket, const PinNumbers& numbers);
  /// All outputs have the batches up to that one.
  void settle(std::uint64_t ticket);
  void settle_all();
  /// Gives back to the kernel what nobody will need again. `held`: calls for each record that still waits.
  using Visit = std::function<void(const Origin&)>;
  void release(std::uint64_t now_ns, const std::function<void(const Visit&)>& held);

 private:
  struct Pending {
    std::uint64_t ticket;
    std::vector<Origin> records;
    PinNumbers numbers;
    WriteJournal::Ends ends;
  };
  using Positions = std::array<std::uint64_t, PinState::most_buffers>;
  struct Point {
    std::uint64_t time_ns;
    Positions positions;
  };
  [[nodiscard]] bool half_full() const;

  PinState& state_;
  const WriteJournal& journal_;
  std::vector<EventSource>& sources_;
  LogSink log_;
  std::vector<Origin> current_;
  std::deque<Pending> pending_;
  std::deque<Point> points_;
  std::array<std::uint64_t, PinNumbers::kinds> taken_{};
  std::uint64_t next_ns_ = 0;
  bool warned_ = false;
};

}  // namespace nightjar
