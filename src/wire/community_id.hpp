// SPDX-License-Identifier: Apache-2.0
// Community ID flow hashing, version 1 with seed 0: one name of a flow for every tool, the same from both ends.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace nightjar {

/// Addresses are 16 bytes, IPv4 as v4-mapped; ports in host order.
struct Flow {
  std::span<const std::uint8_t, 16> source, destination;
  std::uint32_t source_port, destination_port;
  std::uint8_t protocol;  ///< IPPROTO_*
};

/// "1:" and the base64 of a SHA-1, as a JSON string.
std::string community_id(const Flow& flow);

}  // namespace nightjar
