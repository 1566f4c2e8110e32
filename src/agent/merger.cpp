// SPDX-License-Identifier: Apache-2.0
#include "agent/merger.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace nightjar {
namespace {

// A program stamps its record before it sends it; on a busy virtual CPU much can come between.
constexpr std::uint64_t stamp_to_send_ns = 20'000'000;

}  // namespace

std::uint64_t Merger::add(Bytes record, const Origin& origin) {
  if (record.size() < sizeof(wire_header)) return 0;  // cannot be one of ours; nothing to order it by
  Held held;
  held.words.resize((record.size() + 7) / 8);
  std::memcpy(held.words.data(), record.data(), record.size());
  held.size = record.size();
  held.time_ns = as_wire<wire_header>(std::as_bytes(std::span(held.words))).time_ns;
  held.order = order_++;
  held.origin = origin;
  return held_.emplace_back(std::move(held)).time_ns;
}

void Merger::read_up_to(std::uint64_t time_ns) {
  ripe_before_ns_ = std::min(ripe_before_ns_, time_ns > stamp_to_send_ns ? time_ns - stamp_to_send_ns : 0);
}

void Merger::begin_round(std::uint64_t now_ns) {
  ripe_before_ns_ = round_ns_ > stamp_to_send_ns ? round_ns_ - stamp_to_send_ns : 0;
  round_ns_ = now_ns;
}

void Merger::give(bool all, const std::function<void(Bytes, const Origin&)>& take) {
  std::sort(held_.begin(), held_.end(),
            [](const Held& a, const Held& b) { return std::pair(a.time_ns, a.order) < std::pair(b.time_ns, b.order); });
  std::size_t given = 0;
  for (; given < held_.size() && (all || held_[given].time_ns < ripe_before_ns_); ++given)
    take(std::as_bytes(std::span(held_[given].words)).first(held_[given].size), held_[given].origin);
  held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(given));
}

void Merger::for_each(const std::function<void(Bytes, const Origin&)>& visit) const {
  for (const Held& held : held_) visit(std::as_bytes(std::span(held.words)).first(held.size), held.origin);
}

}  // namespace nightjar
