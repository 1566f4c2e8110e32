// SPDX-License-Identifier: Apache-2.0
// What the kernel side counted: happened and lost, by kind and CPU.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/shared_array.hpp"
#include "wire/base.h"

namespace nightjar {

/// Some records of one kind that were lost on one CPU since the last look.
struct Loss {
  std::string_view what;    ///< the event's name
  std::string_view reason;  ///< buffer_full, scope_full, no_scratch, connections_full, flows_full
  unsigned cpu;
  std::uint64_t count, first_ns, last_ns;
};

class LossCounter {
 public:
  explicit LossCounter(SharedArray& counters) : counters_(counters) {}

  /// What was lost since the last call.
  std::vector<Loss> look();
  /// What look() told, as numbers; and to go on from them. As many as cells() says.
  [[nodiscard]] static std::size_t cells() { return std::size_t{WIRE_KIND_END} * possible_cpus() * 2; }
  void save(std::span<std::uint64_t> told) const;
  void resume(std::span<const std::uint64_t> told);
  /// Brings happened() and lost() up to date; tells nothing.
  void look_at_totals();
  /// Sums over all CPUs, as of the last look.
  [[nodiscard]] std::uint64_t happened(unsigned wire_kind) const { return happened_[wire_kind]; }
  [[nodiscard]] std::uint64_t lost(unsigned wire_kind) const { return lost_[wire_kind]; }
  /// Held back by rules in the kernel; part of happened().
  [[nodiscard]] std::uint64_t suppressed(unsigned wire_kind) const { return suppressed_[wire_kind]; }

 private:
  /// `visit(kind, cpu, cell)` for each, with happened_ and lost_ brought up to date.
  template <class F>
  void for_each_cell(F&& visit);

  SharedArray& counters_;  // row: cpu * WIRE_KIND_END + kind (bpf/emit.bpf.h)
  std::uint64_t happened_[WIRE_KIND_END] = {};
  std::uint64_t lost_[WIRE_KIND_END] = {};
  std::uint64_t suppressed_[WIRE_KIND_END] = {};
  struct Told {
    std::uint64_t unsent = 0, unscratched = 0;
  };
  std::vector<Told> told_;  // as counters_
};

}  // namespace nightjar
