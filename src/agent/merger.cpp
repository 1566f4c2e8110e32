// SPDX-License-Identifier: Apache-2.0
#include "agent/merger.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace nightjar {
namespace {

// Room that stays when nothing is held.
constexpr std::size_t words_kept = 65536;

std::size_t words_of(std::size_t bytes) {
  return (bytes + 7) / 8;
}

}  // namespace

Merger::Merger(std::uint64_t hold_ns) : hold_ns_(hold_ns) {}

std::uint64_t Merger::add(Bytes record, const Origin& origin) {
  if (record.size() < sizeof(wire_header)) return 0;  // cannot be one of ours; nothing to order it by
  const std::size_t begin = words_.size();
  words_.resize(begin + words_of(record.size()));
  std::memcpy(&words_[begin], record.data(), record.size());
  const std::uint64_t time_ns = as_wire<wire_header>(std::as_bytes(std::span(words_).subspan(begin))).time_ns;
  held_.push_back({time_ns, begin, record.size(), origin});
  return time_ns;
}

void Merger::read_up_to(std::uint64_t time_ns) {
  ripe_before_ns_ = std::min(ripe_before_ns_, time_ns > hold_ns_ ? time_ns - hold_ns_ : 0);
}

void Merger::begin_round(std::uint64_t now_ns) {
  ripe_before_ns_ = now_ns > hold_ns_ ? now_ns - hold_ns_ : 0;
}

void Merger::give(bool all, const std::function<void(Bytes, const Origin&)>& take) {
  const auto older = [](const Held& a, const Held& b) { return a.time_ns < b.time_ns; };
  const auto came = held_.begin() + static_cast<std::ptrdiff_t>(sorted_);
  std::stable_sort(came, held_.end(), older);
  std::inplace_merge(held_.begin(), came, held_.end(), older);
  auto next = held_.begin();
  for (; next != held_.end() && (all || next->time_ns < ripe_before_ns_); ++next) take(record_of(*next), next->origin);
  held_.erase(held_.begin(), next);
  sorted_ = held_.size();
  let_go_of_given();
}

/// Each record is moved once at most in the mean: only when what was given takes more room than what is held.
void Merger::let_go_of_given() {
  std::size_t words = 0;
  for (const Held& held : held_) words += words_of(held.size);
  if (words > words_.size() / 2) return;
  spare_.clear();
  for (Held& held : held_) {
    const auto from = words_.begin() + static_cast<std::ptrdiff_t>(held.begin);
    held.begin = spare_.size();
    spare_.insert(spare_.end(), from, from + static_cast<std::ptrdiff_t>(words_of(held.size)));
  }
  words_.swap(spare_);
  if (held_.empty() && words_.capacity() + spare_.capacity() > words_kept) words_ = spare_ = {};
}

std::uint64_t Merger::next_round_ns(std::uint64_t wanted_ns) const {
  if (held_.empty()) return wanted_ns;
  return std::clamp(wanted_ns, held_.front().time_ns + hold_ns_ + 1, held_.back().time_ns + hold_ns_ + 1);
}

void Merger::for_each(const std::function<void(Bytes, const Origin&)>& visit) const {
  for (const Held& held : held_) visit(record_of(held), held.origin);
}

}  // namespace nightjar
