// SPDX-License-Identifier: Apache-2.0
#include "nightjar/event_poller.hpp"

#include <atomic>
#include <cerrno>
#include <future>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <pthread.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "nightjar/unique_fd.hpp"
#include "signals_blocked.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

constexpr std::size_t longest_thread_name = 15;

}  // namespace

struct EventPoller::State {
  std::vector<EventSource> sources;
  EventHandler handler;
  PollerOptions options;
  UniqueFd epoll, wake;
  std::atomic<bool> stopping = false;
  std::atomic<bool> failed = false;
  std::atomic<std::uint64_t> lost = 0;
  std::atomic<std::uint64_t> delivered = 0;
  std::optional<Error> error;  ///< written by the thread, read when it has ended
  std::promise<Result<>> started;
  std::thread thread;
  std::mutex stop_mutex;

  Result<> watch(int fd) const {
    epoll_event interest{};
    interest.events = EPOLLIN;
    interest.data.fd = fd;
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &interest) != 0) return Error::from_errno("poller: epoll");
    return {};
  }

  Result<> prepare() const {
    if (!epoll.valid() || !wake.valid()) return Error::from_errno("poller: epoll and eventfd");
    NIGHTJAR_CHECK(watch(wake.get()));
    for (const EventSource& source : sources) NIGHTJAR_CHECK(watch(source.fd()));
    return {};
  }

  /// A busy source must not keep the others waiting.
  static constexpr std::size_t records_a_turn = 4096;

  /// Reads every source for a turn; says whether one has more.
  Result<bool> read_all() {
    bool more = false;
    std::uint64_t lost_now = 0;
    for (EventSource& source : sources) {
      std::size_t here = 0;
      const std::size_t given = NIGHTJAR_TRY(source.consume([&](const EventView& event) {
        handler(event);
        return ++here < records_a_turn ? Visit::go_on : Visit::stop;
      }));
      delivered.fetch_add(given, std::memory_order_relaxed);
      more = more || here >= records_a_turn;
      lost_now += source.lost();
    }
    lost.store(lost_now, std::memory_order_relaxed);
    return more;
  }

  /// After stop(): programs that go on sending must not keep it from ending.
  static constexpr int most_last_turns = 256;

  Result<> run() {
    int last_turns = 0;
    for (;;) {
      // Asked before the last look, so that what was sent before stop() is given.
      const bool last = stopping.load();
      const bool more = NIGHTJAR_TRY(read_all());
      if (last && (!more || ++last_turns == most_last_turns)) return {};
      if (more) continue;
      epoll_event ready{};
      const int count = ::epoll_wait(epoll.get(), &ready, 1, static_cast<int>(options.interval.count()));
      if (count < 0 && errno != EINTR) return Error::from_errno("poller: wait");
    }
  }

  void main() {
    ::pthread_setname_np(::pthread_self(), options.thread_name.c_str());
    auto scheduled = set_scheduling(options.scheduling);
    const bool runs = scheduled.has_value();
    started.set_value(std::move(scheduled));
    if (!runs) return;
    auto ended = run();
    if (ended) return;
    error = std::move(ended).error();
    failed.store(true);
  }

  Result<> stop() {
    const std::scoped_lock lock(stop_mutex);
    if (!thread.joinable()) return {};
    stopping.store(true);
    const std::uint64_t one = 1;
    // An eventfd that is not full takes it; without it the thread sees `stopping` after its interval.
    (void)!::write(wake.get(), &one, sizeof(one));
    thread.join();
    if (error) return std::move(*error);
    return {};
  }

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { (void)stop(); }
};

EventPoller::EventPoller(std::unique_ptr<State> state) : state_(std::move(state)) {}
EventPoller::EventPoller(EventPoller&&) noexcept = default;
EventPoller& EventPoller::operator=(EventPoller&&) noexcept = default;
EventPoller::~EventPoller() = default;

Result<EventPoller> EventPoller::start(std::vector<EventSource> sources, EventHandler handler,
                                       const PollerOptions& options) {
  if (!handler) return Error(errc::invalid, "poller: no handler");
  if (options.thread_name.size() > longest_thread_name) {
    return Error(errc::invalid,
                 "poller: the thread's name " + text::quoted(options.thread_name) + " has more than 15 characters");
  }
  auto state = std::make_unique<State>();
  state->sources = std::move(sources);
  state->handler = std::move(handler);
  state->options = options;
  state->epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
  state->wake.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  NIGHTJAR_CHECK(state->prepare());
  auto answer = state->started.get_future();
  int sys = 0;
  try {
    const SignalsBlocked blocked;
    state->thread = std::thread([raw = state.get()] { raw->main(); });
  } catch (const std::system_error& failed) {
    sys = failed.code().value();
  }
  if (sys != 0) return Error::from_errno("poller: start a thread", sys);
  if (auto scheduled = answer.get(); !scheduled) return std::move(scheduled).error().in("poller");
  return EventPoller(std::move(state));
}

Result<> EventPoller::stop() {
  return state_->stop();
}
bool EventPoller::has_failed() const {
  return state_->failed.load();
}
std::uint64_t EventPoller::lost() const {
  return state_->lost.load();
}
std::uint64_t EventPoller::delivered() const {
  return state_->delivered.load();
}

}  // namespace nightjar
