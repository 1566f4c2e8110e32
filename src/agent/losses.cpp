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

void LossCounter::save(std::span<std::uint64_t> told) const {
  for (std::size_t i = 0; i < told_.size() && 2 * i + 1 < told.size(); ++i) {
    told[2 * i] = told_[i].unsent;
    told[2 * i + 1] = told_[i].unscratched;
  }
}

void LossCounter::resume(std::span<const std::uint64_t> told) {
  told_.clear();
  for (std::size_t i = 0; i + 1 < told.size(); i += 2) told_.push_back({told[i], told[i + 1]});
}

template <class F>
void LossCounter::for_each_cell(F&& visit) {
  counters_.refresh();
  for (std::uint32_t kind = 0; kind < WIRE_KIND_END; ++kind) happened_[kind] = lost_[kind] = suppressed_[kind] = 0;
  for (std::uint32_t row = 0; row < counters_.entries(); ++row) {
    const wire_counter cell = *counters_.at<wire_counter>(row);
    const std::uint32_t kind = row % WIRE_KIND_END;
    happened_[kind] += cell.happened + cell.suppressed;
    suppressed_[kind] += cell.suppressed;
    lost_[kind] += cell.lost;
    visit(kind, row / WIRE_KIND_END, cell);
  }
}

void LossCounter::look_at_totals() {
  for_each_cell([](std::uint32_t, std::uint32_t, const wire_counter&) {});
}

std::vector<Loss> LossCounter::look() {
  std::vector<Loss> losses;
  told_.resize(counters_.entries());
  for_each_cell([&](std::uint32_t kind, std::uint32_t cpu, const wire_counter& cell) {
    Told& told = told_[std::size_t{cpu} * WIRE_KIND_END + kind];
    const auto add = [&](std::string_view reason, std::uint64_t count, std::uint64_t& before) {
      // The counts of a cell are not written at once: never go back.
      if (count <= before) return;
      losses.push_back({wire_kind_name(kind), reason, cpu, count - before, cell.first_lost_ns, cell.last_lost_ns});
      before = count;
    };
    add("no_scratch", cell.unscratched, told.unscratched);
    add(reason_of(kind), cell.lost - cell.unscratched, told.unsent);
  });
  return losses;
}

}  // namespace nightjar
