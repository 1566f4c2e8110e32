// SPDX-License-Identifier: Apache-2.0
#include "agent/limits.hpp"

#include <atomic>

#include "wire/events.hpp"

namespace nightjar {

void Limits::look() {
  const auto sum = std::atomic_ref(rows_.front().suppressed).load();
  if (sum == seen_) return;
  seen_ = sum;
  for (wire_limit& row : rows_.subspan(1)) {
    const auto suppressed = std::atomic_ref(row.suppressed).load();
    if (suppressed == row.told) continue;
    const std::uint64_t count = suppressed - row.told;
    taken_ += count;
    untold_["rate_limit:" + std::string(wire_kind_name(row.kind)) + ":" + std::to_string(row.pid)] += count;
    std::atomic_ref(row.told).store(suppressed, std::memory_order_release);
  }
}

void Limits::resume() {
  for (const wire_limit& row : rows_.subspan(1)) taken_ += row.told;
  if (const std::uint64_t told = rows_.front().told; taken_ > told) untold_["rate_limit"] += taken_ - told;
}

void Limits::settle() {
  if (untold_.empty()) rows_.front().told = taken_;
}

}  // namespace nightjar
