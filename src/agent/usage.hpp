// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace nightjar {

/// What this process has taken until now.
struct Usage {
  std::uint64_t cpu_ns = 0;          ///< of all its threads, in user and kernel mode
  std::uint64_t peak_rss_bytes = 0;  ///< the most memory that was resident at once

  static Usage of_this_process();
};

}  // namespace nightjar
