// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "nightjar/result.hpp"

namespace nightjar {

struct CgroupScope {
  std::uint64_t id;     ///< inode number of the directory: what the kernel calls the cgroup's id
  std::uint32_t level;  ///< depth below the root of the hierarchy
};

/// The cgroup whose directory `path` is. not_found; invalid when it is not in a cgroup2 file system.
Result<CgroupScope> find_cgroup(const std::string& path);

}  // namespace nightjar
