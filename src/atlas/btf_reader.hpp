// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <unordered_set>

#include "atlas/types.hpp"

namespace nightjar::atlas {

/// Names of types, without flavours.
using TypeNames = std::unordered_set<std::string_view>;

/// BTF as bytes: where its types and strings are. Borrows the bytes.
class BtfView {
 public:
  /// `base`: of a module's BTF, the kernel's. Fails with corrupt.
  static Result<BtfView> open(Bytes bytes, const BtfView* base = nullptr);

  /// Adds every type with a name (of a module: those that its kernel has not) and returns them; with `only`, those of
  /// these names and what lies inside of them. Fails with corrupt.
  Result<Layout> read(TypePool& pool, const TypeNames* only = nullptr) const;

 private:
  friend class BtfConverter;
  Bytes bytes_;
  Bytes types_;
  Bytes strings_;
  std::vector<std::uint32_t> offsets_;  ///< of each type, in types_
  const BtfView* base_ = nullptr;
};

}  // namespace nightjar::atlas
