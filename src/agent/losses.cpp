// SPDX-License-Identifier: Apache-2.0
#include "agent/losses.hpp"

#include "wire/events.hpp"

namespace nightjar {
namespace {

std::string_view reason_of(unsigned wire_kind) {
  switch (wire_kind) {
    case WIRE_SCOPE_FULL:
      return "scope_full";
    case WIRE_CONNECTIONS_FULL:
      return "connections_full";
    case WIRE_FLOWS_FULL:
      return "flows_full";
    default:
      return "buffer_full";
  }
}

}  // namespace

Result<> LossCounter::look_at_totals() {
  for (std::uint32_t kind = 0; kind < WIRE_KIND_END; ++kind) {
    const auto cells = NIGHTJAR_TRY((counters_.get_per_cpu<std::uint32_t, wire_counter>(kind)));
    happened_[kind] = 0;
    lost_[kind] = 0;
    for (const wire_counter& cell : cells) {
      happened_[kind] += cell.happened;
      lost_[kind] += cell.lost;
    }
  }
  return {};
}

Result<std::vector<Loss>> LossCounter::look() {
  std::vector<Loss> losses;
  for (std::uint32_t kind = 0; kind < WIRE_KIND_END; ++kind) {
    const auto cells = NIGHTJAR_TRY((counters_.get_per_cpu<std::uint32_t, wire_counter>(kind)));
    told_.resize(WIRE_KIND_END * cells.size());
    happened_[kind] = 0;
    lost_[kind] = 0;
    for (unsigned cpu = 0; cpu < cells.size(); ++cpu) {
      const wire_counter& cell = cells[cpu];
      happened_[kind] += cell.happened;
      lost_[kind] += cell.lost;
      Told& told = told_[kind * cells.size() + cpu];
      const auto add = [&](std::string_view reason, std::uint64_t count, std::uint64_t& before) {
        // The two counts of a cell are not written at once: never go back.
        if (count <= before) return;
        losses.push_back({wire_kind_name(kind), reason, cpu, count - before, cell.first_lost_ns, cell.last_lost_ns});
        before = count;
      };
      add("no_scratch", cell.unscratched, told.unscratched);
      add(reason_of(kind), cell.lost - cell.unscratched, told.unsent);
    }
  }
  return losses;
}

}  // namespace nightjar
