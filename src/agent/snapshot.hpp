// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "agent/pipeline.hpp"
#include "nightjar/result.hpp"
#include "wire/record.hpp"

namespace nightjar {

/// Who the agent is, in the root pid namespace.
struct SelfTask {
  std::uint32_t pid = 0;  ///< 0: not known, this kernel has no task iterator
  std::uint64_t start_ns = 0;
};

/// Finds the agent's own record in the output of the snapshot iterator and makes it known to the pipeline.
SelfTask tell_self(const std::vector<std::byte>& records, Pipeline& pipeline);

/// Tells the pipeline every other process, with argv and environment from procfs. `show` false: they are only to be
/// known, no event is made of them. Those in `but` are left out. After each, `after_each` may take what is in `out`: of
/// ten thousand processes that is thirty megabytes.
Result<> tell_processes(const std::vector<std::byte>& records, bool show, Pipeline& pipeline, std::string& out,
                        const std::function<Result<>()>& after_each, const std::set<ProcessKey>& but = {});

}  // namespace nightjar
