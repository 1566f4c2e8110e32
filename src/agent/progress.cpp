// SPDX-License-Identifier: Apache-2.0
#include "agent/progress.hpp"

#include <algorithm>
#include <utility>

namespace nightjar {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t release_every_ns = 20 * ms;
// The parts of an event (its argv, its script) stand some microseconds before it, on the same CPU: they are kept until
// it is surely settled.
constexpr std::uint64_t parts_kept_ns = 200 * ms;
// Of outputs that do not keep up: then their records are joined, which only makes the steps larger.
constexpr std::size_t most_pending = 64;

}  // namespace

Progress::Progress(PinState& state, const WriteJournal& journal, std::vector<EventSource>& sources, LogSink log)
    : state_(state), journal_(journal), sources_(sources), log_(std::move(log)) {
  std::copy(std::begin(state.numbers().taken), std::end(state.numbers().taken), taken_.begin());
}

void Progress::took(const Origin& origin, unsigned kind) {
  if (!origin.is_in_buffer()) return;
  current_.push_back(origin);
  if (kind < taken_.size()) ++taken_.at(kind);
}

void Progress::flushed(std::uint64_t ticket, const PinNumbers& numbers) {
  if (pending_.size() < most_pending) {
    pending_.push_back({ticket, std::exchange(current_, {}), numbers, journal_.ends()});
  } else {
    Pending& last = pending_.back();
    last.ticket = ticket;
    last.records.insert(last.records.end(), current_.begin(), current_.end());
    last.numbers = numbers;
    last.ends = journal_.ends();
    current_.clear();
  }
  std::copy(taken_.begin(), taken_.end(), std::begin(pending_.back().numbers.taken));
}

void Progress::settle(std::uint64_t ticket) {
  while (!pending_.empty() && pending_.front().ticket <= ticket) {
    const Pending first = std::move(pending_.front());
    pending_.pop_front();
    state_.settle(first.records, first.numbers, first.ends, pending_.empty() && current_.empty());
  }
}

void Progress::settle_all() {
  settle(UINT64_MAX);
}

bool Progress::half_full() const {
  return std::ranges::any_of(sources_, [](const EventSource& source) {
    return source.position() - source.released() > source.capacity() / 2;
  });
}

void Progress::release(std::uint64_t now_ns, const std::function<void(const Visit&)>& held) {
  const bool urgent = half_full();
  if (now_ns < next_ns_ && !urgent) return;
  next_ns_ = now_ns + release_every_ns;
  if (urgent && !pending_.empty()) {
    settle_all();
    if (!std::exchange(warned_, true) && log_)
      log_(LogLevel::warning,
           "--pin: an output does not keep up: what its queue holds goes when the agent is killed (give it spool=DIR)");
  }
  Point point{now_ns, {}};
  for (std::size_t i = 0; i < sources_.size(); ++i) point.positions.at(i) = sources_[i].position();
  const auto still_needed = [&](const Origin& origin) {
    if (!origin.is_in_buffer()) return;
    std::uint64_t& position = point.positions.at(origin.source);
    position = std::min(position, origin.position);
  };
  held(still_needed);
  for (const Pending& pending : pending_) std::ranges::for_each(pending.records, still_needed);
  std::ranges::for_each(current_, still_needed);
  points_.push_back(point);
  while (!points_.empty() && (urgent || points_.front().time_ns + parts_kept_ns <= now_ns)) {
    for (std::size_t i = 0; i < sources_.size(); ++i) sources_[i].release(points_.front().positions.at(i));
    points_.pop_front();
  }
}

}  // namespace nightjar
