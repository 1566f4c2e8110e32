// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {

/// Lockdown in its strictest form: no tracefs, and no program that reads the kernel's memory.
bool is_locked_down();

/// A handle on tracefs that needs no mount: one that is there, else a detached one that only this process holds and
/// that vanishes with it. Nothing that others can see is changed.
class Tracefs {
 public:
  /// One that is mounted (by itself or in a debugfs), else a private one, else, where the kernel has no private mounts,
  /// one mounted at `mount_at` unless that is empty. Fails with denied (mounting needs CAP_SYS_ADMIN), or unsupported
  /// (no tracefs, or a kernel before 5.2 with none mounted).
  static Result<Tracefs> open(const std::string& mount_at = {});
  /// Always a detached mount of our own.
  static Result<Tracefs> open_private();
  /// Mounts it for everybody, and makes the directory when it is absent.
  static Result<Tracefs> mount(const std::string& path);

  [[nodiscard]] Result<Tracefs> duplicate() const;
  /// A whole file of it.
  [[nodiscard]] Result<std::string> read(const std::string& file) const;
  /// One write(2) at a file's end: how probes are made and removed.
  [[nodiscard]] Result<> append(const std::string& file, std::string_view line) const;

  /// The number of tracepoint "category/name". Fails with not_found.
  [[nodiscard]] Result<std::uint64_t> event_id(const std::string& event) const;

 private:
  explicit Tracefs(UniqueFd root) : root_(std::move(root)) {}
  UniqueFd root_;
};

/// The perf event of a tracepoint, to attach a program to: one event that fires for every process (or for `pid` only)
/// on every CPU.
Result<UniqueFd> open_tracepoint(std::uint64_t id, std::optional<int> pid = std::nullopt);

/// Whether this process may open one, without opening any: to take one back waits for every CPU (20 to 140 ms).
Result<> may_open_tracepoint(std::uint64_t id);

}  // namespace nightjar
