// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {

/// Number of the kernel's kprobe PMU (4.17). Fails with unsupported.
Result<std::uint32_t> kprobe_pmu();

/// A perf event on the entry of a kernel function, disabled. Fails as perf_event_open does: ENOENT when there is no
/// such function.
Result<UniqueFd> open_kprobe(const std::string& function);

}  // namespace nightjar
