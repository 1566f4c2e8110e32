// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nightjar/api.hpp"
#include "nightjar/log.hpp"
#include "nightjar/map.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// One record as a BPF program sent it, or the notice that records were lost. The bytes are valid during the call only.
/// From a perf buffer they may be followed by up to 7 bytes of padding (the kernel rounds records up).
struct EventView {
  std::span<const std::byte> bytes;
  std::optional<unsigned> cpu;  ///< known for perf buffers only
  std::string_view map;         ///< the buffer's map
  /// Not 0: this is no record. So many were dropped here, between the record before and the one behind of the same CPU,
  /// because the buffer was full. Perf buffers only: a ring buffer's program counts by itself.
  std::uint64_t lost = 0;
  /// Where the record stands in a ring buffer that is held (EventSourceOptions::hold).
  std::uint64_t position = 0;
};

struct EventSourceOptions {
  /// Perf buffers: bytes for each CPU, rounded up to a power of two of pages; 0: 1 MiB. A ring buffer's
  /// size was fixed when its map was created.
  std::size_t bytes_per_cpu = 0;
  /// Perf buffers: bytes for all CPUs that are online now, shared among them and rounded down, a page each at the
  /// least. Wins over bytes_per_cpu unless 0.
  std::size_t bytes_in_total = 0;
  /// Perf buffers: wake the reader when this many bytes wait on one CPU; 0: half of the buffer. Ring buffers: the BPF
  /// program decides (BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP).
  std::size_t wakeup_bytes = 0;
  /// Ring buffers: what was read stays in the kernel until release(). Whoever opens a pinned buffer after this process
  /// was killed reads it again. The map must be fit for mmap(2): every ring buffer is.
  bool hold = false;
  /// Perf buffers: warned once when a CPU that came later cannot be given a buffer. What is sent there is dropped,
  /// which programs can count.
  LogSink log = {};
};

/// What a visitor answers.
enum class Visit : std::uint8_t { go_on, stop };

/// A ring buffer or a perf buffer (the map's type tells which), read without copying. The library starts no thread:
/// wait on fd() with your own epoll, or give it to an EventPoller. Not thread-safe.
class NIGHTJAR_API EventSource {
 public:
  /// Fails with invalid for any other map type or a size out of range, denied, or system (memory).
  static Result<EventSource> open(const Map& map, const EventSourceOptions& options = {});
  EventSource(EventSource&&) noexcept;
  EventSource& operator=(EventSource&&) noexcept;
  ~EventSource();

  /// An epoll descriptor, readable when the kernel woke us; it says nothing of records sent without a wakeup.
  [[nodiscard]] int fd() const;
  /// Gives every waiting record, and every notice of loss in its place, to `visit`, oldest first within a CPU, until
  /// none is left or it answers stop. Returns how many records it gave. Never blocks. After a stop the record just
  /// given counts as read and the rest stays in the kernel's buffer: call again without waiting, for fd() may stay
  /// silent until the next wakeup. While programs send faster than `visit` reads, only stop ends it. `visit` must not
  /// throw. Fails with corrupt when the buffer holds no sound records. Follows CPUs that come online, see
  /// follow_cpus().
  Result<std::size_t> consume(const std::function<Visit(const EventView&)>& visit);
  /// Perf buffers: opens buffers for CPUs that came online and closes those of CPUs that went, when empty. consume()
  /// does it once a second; until then the programs' records on a new CPU are lost, and the kernel counts them nowhere.
  /// Returns how many were opened.
  Result<std::size_t> follow_cpus();

  /// Of a ring buffer that is held: the position behind what was read last; and how far the kernel may overwrite.
  /// Positions grow for ever.
  [[nodiscard]] std::uint64_t position() const;
  [[nodiscard]] std::uint64_t released() const;
  /// Everything before that position was dealt with. Does nothing unless the buffer is held.
  void release(std::uint64_t position);

  /// Records that the kernel says it dropped (perf buffers; a ring buffer's program counts by itself).
  [[nodiscard]] std::uint64_t lost() const;
  /// Memory that the buffer takes, bytes, all CPUs.
  [[nodiscard]] std::size_t capacity() const;
  /// How the size asked for was changed, one line; empty when it was taken as it is.
  [[nodiscard]] const std::string& rounding() const;
  [[nodiscard]] bool is_ring_buffer() const;
  [[nodiscard]] const std::string& map_name() const;

  struct Buffer {
    std::optional<unsigned> cpu;  ///< none: a ring buffer
    std::size_t bytes = 0;
    std::uint64_t lost = 0;
  };
  [[nodiscard]] std::vector<Buffer> buffers() const;

 private:
  struct State;
  explicit EventSource(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace nightjar
