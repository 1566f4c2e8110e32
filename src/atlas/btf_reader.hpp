// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "atlas/types.hpp"

namespace nightjar::atlas {

/// BTF as bytes: where its types and strings are. Borrows the bytes.
class BtfView {
 public:
  /// `base`: of a module's BTF, the kernel's. Fails with corrupt.
  static Result<BtfView> open(Bytes bytes, const BtfView* base = nullptr);

  /// Adds every type with a name (of a module: those that its kernel has not) and returns them. Fails with corrupt.
  Result<Layout> read(TypePool& pool) const;

 private:
  friend class BtfConverter;
  Bytes bytes_;
  Bytes types_;
  Bytes strings_;
  std::vector<std::uint32_t> offsets_;  ///< of each type, in types_
  const BtfView* base_ = nullptr;
};

}  // namespace nightjar::atlas
