// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nightjar/api.hpp"
#include "nightjar/event_source.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// How the kernel schedules a thread: sched(7).
struct NIGHTJAR_API Scheduling {
  enum class Policy : std::uint8_t { inherit, other, idle, batch, fifo, round_robin, deadline };
  Policy policy = Policy::inherit;
  int nice = 0;           ///< other, batch: -20 to 19
  unsigned priority = 0;  ///< fifo, round_robin: 1 to 99
  std::chrono::nanoseconds runtime{}, deadline{}, period{};

  static Scheduling other(int nice = 0) { return {.policy = Policy::other, .nice = nice}; }
  static Scheduling idle() { return {.policy = Policy::idle}; }
  static Scheduling batch(int nice = 0) { return {.policy = Policy::batch, .nice = nice}; }
  static Scheduling fifo(unsigned priority) { return {.policy = Policy::fifo, .priority = priority}; }
  static Scheduling round_robin(unsigned priority) { return {.policy = Policy::round_robin, .priority = priority}; }
  static Scheduling for_deadline(std::chrono::nanoseconds runtime, std::chrono::nanoseconds deadline,
                                 std::chrono::nanoseconds period) {
    return {.policy = Policy::deadline, .runtime = runtime, .deadline = deadline, .period = period};
  }
};

/// Sets the calling thread's. Numbers out of range are invalid, never clamped. Fails with denied (CAP_SYS_NICE).
NIGHTJAR_API Result<> set_scheduling(const Scheduling& scheduling);

struct PollerOptions {
  std::string thread_name = "nightjar-poll";  ///< at most 15 characters
  Scheduling scheduling;
  /// After the buffers were empty, look again this often, for records sent without a wakeup.
  std::chrono::milliseconds interval{100};
};

/// What takes the events. Called on the poller's thread. Must not throw: that ends the process.
using EventHandler = std::function<void(const EventView&)>;

/// A thread that reads event sources and gives every event to one handler. Destroying it stops it. Move-only.
/// stop() and error() may be called from any thread but the poller's own.
class NIGHTJAR_API EventPoller {
 public:
  /// The thread runs, under its name and policy, when this returns. Fails with invalid (a name too long, numbers out of
  /// range), denied (the policy), or system.
  static Result<EventPoller> start(std::vector<EventSource> sources, EventHandler handler,
                                   const PollerOptions& options = {});
  EventPoller(EventPoller&&) noexcept;
  EventPoller& operator=(EventPoller&&) noexcept;
  ~EventPoller();

  /// Gives what waits, then ends the thread. Returns the error that ended it before, if one did. A second call does
  /// nothing.
  Result<> stop();
  /// Whether an error has ended the thread: stop() returns it.
  [[nodiscard]] bool has_failed() const;
  /// Records that the kernel dropped, all buffers.
  [[nodiscard]] std::uint64_t lost() const;
  [[nodiscard]] std::uint64_t delivered() const;

 private:
  struct State;
  explicit EventPoller(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace nightjar
