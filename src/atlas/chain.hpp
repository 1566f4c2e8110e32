// SPDX-License-Identifier: Apache-2.0
// A way through kernel memory in names, and what it is in numbers by one layout.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atlas/wanted.hpp"

namespace nightjar::atlas {

/// What a step adds: where a member is, a type's size, an enumerator's value times eight, or a number.
struct Term {
  std::optional<Want> want;   ///< without a path: the size of the type
  std::int64_t factor = 1;    ///< of the number of what is wanted
  std::int64_t constant = 0;  ///< where there is no want
};

/// At each step but the last a pointer is read, and the next step begins where it leads.
struct Chain {
  std::vector<std::vector<Term>> steps;

  /// Steps as "task_struct.files", "fdtable.fd + 24", "- mount.mnt + mount.mnt_devname", "pid.numbers + 1 * upid".
  static Chain parse(const std::vector<std::string>& steps);
  /// Each once.
  [[nodiscard]] std::vector<Want> wants() const;
};

/// A mistake in a layout, for trying whether it would be seen.
struct Moved {
  const Want* want = nullptr;
  std::int64_t bytes = 0;
};

/// Whether a kernel could have it there: no member is in front of its structure.
bool can_be_moved(const LayoutIndex& index, const Moved& moved);

struct Address {
  std::vector<std::int64_t> pointers;
  std::int64_t last = 0;
};

/// Nothing when the layout lacks a member, has several types of that name that differ in it, or has it as a bit field.
std::optional<Address> address_of(const Chain& chain, const LayoutIndex& index, const Moved& moved = {});

}  // namespace nightjar::atlas
