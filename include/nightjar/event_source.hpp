// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "nightjar/map.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// One record as a BPF program sent it. The bytes are valid during the call only. From a perf buffer they may be
/// followed by up to 7 bytes of padding (the kernel rounds records up).
struct EventView {
  std::span<const std::byte> bytes;
  std::optional<unsigned> cpu;  ///< known for perf buffers only
};

struct EventSourceOptions {
  /// Perf buffers: bytes for each CPU, rounded up to a power of two of pages; 0: 1 MiB. A ring buffer's
  /// size was fixed when its map was created.
  std::size_t bytes_per_cpu = 0;
  /// Perf buffers: wake the reader when this many bytes wait on one CPU; 0: half of the buffer. Ring buffers: the BPF
  /// program decides (BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP).
  std::size_t wakeup_bytes = 0;
};

/// What a visitor answers.
enum class Visit : std::uint8_t { go_on, stop };

/// A ring buffer or a perf buffer (the map's type tells which), read without copying. The library starts no thread:
/// wait on fd() with your own epoll, or call wait(). Not thread-safe.
class EventSource {
 public:
  /// Fails with invalid for any other map type, denied, or system (memory).
  static Result<EventSource> open(const Map& map, const EventSourceOptions& options = {});
  EventSource(EventSource&&) noexcept;
  EventSource& operator=(EventSource&&) noexcept;
  ~EventSource();

  /// An epoll descriptor, readable when the kernel woke us; it says nothing of records sent without a wakeup.
  [[nodiscard]] int fd() const;
  /// Gives every waiting record to `visit`, oldest first within a CPU, until none is left or it answers stop.
  /// Returns how many it gave. Never blocks. After a stop the record just given counts as read and the rest stays in
  /// the kernel's buffer: call again without waiting, for fd() may stay silent until the next wakeup. While programs
  /// send faster than `visit` reads, only stop ends it. `visit` must not throw. Fails with corrupt when the buffer
  /// holds no sound records.
  Result<std::size_t> consume(const std::function<Visit(const EventView&)>& visit);
  /// Records that the kernel says it dropped (perf buffers; a ring buffer's program counts by itself).
  [[nodiscard]] std::uint64_t lost() const;
  /// Memory that the buffer takes, bytes, all CPUs.
  [[nodiscard]] std::size_t capacity() const;
  [[nodiscard]] bool is_ring_buffer() const;

 private:
  struct State;
  explicit EventSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace nightjar
