// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include <sys/resource.h>

#include "nightjar/result.hpp"

namespace nightjar {

/// RLIMIT_MEMLOCK changed for a while: the destructor sets it back unless keep() was called.
class MemlockChange {
 public:
  MemlockChange() = default;
  MemlockChange(const MemlockChange&) = delete;
  MemlockChange& operator=(const MemlockChange&) = delete;
  ~MemlockChange();

  Result<> set(std::uint64_t bytes);
  void keep() { before_.reset(); }

 private:
  std::optional<rlimit> before_;
};

}  // namespace nightjar
