// SPDX-License-Identifier: Apache-2.0
// A cgroup that may take less memory than the agent needs: the kernel would end it without a word.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace nightjar {

struct MemoryLimit {
  std::string cgroup;  ///< the directory that sets it
  std::uint64_t bytes = 0;
};

/// The smallest limit of this process's cgroup and of those above it, of version 1 and 2, as far as they can be seen
/// from here. `root`: before every path, for tests.
std::optional<MemoryLimit> memory_limit(const std::string& root = "");

/// What the agent takes when it starts, with maps and buffers of that size in the kernel.
std::uint64_t memory_needed(std::uint64_t map_bytes);

/// One line when the limit is below what is needed, else empty.
std::string too_little_memory(const std::optional<MemoryLimit>& limit, std::uint64_t needed);

}  // namespace nightjar
