// SPDX-License-Identifier: Apache-2.0
// Addresses of records: 16 bytes, IPv4 as v4-mapped IPv6.
#pragma once

#include <cstdint>
#include <cstring>

namespace nightjar {

/// 0.0.0.0 or ::. No packet goes to or comes from it: of an end of a flow it means that the address is not known.
inline bool is_any_address(const void* ip) {
  static constexpr std::uint8_t any[2][16] = {{}, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
  return std::memcmp(ip, any[0], sizeof any[0]) == 0 || std::memcmp(ip, any[1], sizeof any[1]) == 0;
}

}  // namespace nightjar
