// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "nightjar/result.hpp"

namespace nightjar {

/// The kernel's lists of CPUs: "0,3-5\n". Fails with corrupt.
Result<std::vector<unsigned>> parse_cpu_list(std::string_view text);

/// CPUs that are online now, in order.
Result<std::vector<unsigned>> online_cpus();

}  // namespace nightjar
