// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/json.hpp"

namespace nightjar {

/// Facts of the machine that do not change while the sensor runs, read once.
struct Host {
  std::string machine_id, hostname, boot_id, kernel, architecture;
  std::int64_t boot_to_unix_ns = 0;  ///< add to CLOCK_BOOTTIME for CLOCK_REALTIME
  std::string boot_prefix;           ///< first 12 hex digits of the boot id: part of entity and event ids

  static Host read();
  /// The host.* fields of every event.
  [[nodiscard]] std::vector<json::Named> constants() const;
  [[nodiscard]] std::int64_t to_unix(std::uint64_t boot_ns) const {
    return static_cast<std::int64_t>(boot_ns) + boot_to_unix_ns;
  }
};

std::uint64_t boot_clock_ns();
/// CLOCK_BOOTTIME - CLOCK_MONOTONIC: grows when the machine is suspended.
std::uint64_t boot_offset_ns();

/// The whole file, or empty; for the small files of /proc, /sys and /etc.
std::string read_small_file(const std::string& path);

}  // namespace nightjar
