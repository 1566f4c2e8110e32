// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {

/// A handle on tracefs that needs no mount: one that is there, else a detached one that only this process holds and
/// that vanishes with it. Nothing that others can see is changed.
class Tracefs {
 public:
  /// Fails with denied (mounting needs CAP_SYS_ADMIN), or unsupported (no tracefs, or a kernel before 5.2 with none
  /// mounted).
  static Result<Tracefs> open();
  /// Always a detached mount of our own.
  static Result<Tracefs> open_private();

  /// The number of tracepoint "category/name". Fails with not_found.
  [[nodiscard]] Result<std::uint64_t> event_id(const std::string& event) const;

 private:
  explicit Tracefs(UniqueFd root) : root_(std::move(root)) {}
  UniqueFd root_;
};

/// The perf event of a tracepoint, to attach a program to: one event that fires for every process on every CPU.
Result<UniqueFd> open_tracepoint(std::uint64_t id);

}  // namespace nightjar
