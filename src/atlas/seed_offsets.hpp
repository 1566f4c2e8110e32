// SPDX-License-Identifier: Apache-2.0
// Offsets as a hash map that is filled at run time: for objects that look each one up by a key, in place of CO-RE.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "atlas/wanted.hpp"
#include "nightjar/map.hpp"

namespace nightjar::atlas {

/// CRC-64/Jones (polynomial ad93d23594c935a9, reflected, from 0) of "task_struct->tgid".
constexpr std::uint64_t seed_key(std::string_view text) {
  constexpr std::uint64_t reflected = 0x95ac9329ac4bc9b5;
  std::uint64_t crc = 0;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? crc >> 1U ^ reflected : crc >> 1U;
  }
  return crc;
}

/// Set last, to 1: the programs do nothing before.
inline constexpr std::string_view seed_gate = "loaded";
/// Holds the kernel's version as KERNEL_VERSION(a, b, c).
inline constexpr std::string_view seed_version = "LINUX_KERNEL_VERSION";

/// Fills the map `offsets` (u64 key, u32 bytes) with the members of `names` ("task_struct->tgid"), then the gate.
/// Returns the names that this kernel lacks: they stay out of the map. Fails with invalid for a map of another shape or
/// a name that is not STRUCT->MEMBER, else as Map::set.
Result<std::vector<std::string>> fill_seed_offsets(const Map& offsets, const LayoutIndex& index,
                                                   const std::vector<std::string>& names, std::uint32_t kernel_version);

}  // namespace nightjar::atlas
