// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "agent/pipeline.hpp"
#include "agent/proc_snapshot.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// Who the agent is, in the root pid namespace.
struct SelfTask {
  std::uint32_t pid = 0;       ///< 0: not known, neither the kernel nor /proc tells it
  std::uint64_t start_ns = 0;  ///< 0: not known exactly
};

/// Gives the records of a snapshot, with `only_self` at least the agent's own.
using SnapshotSource = std::function<Result<>(bool only_self, const SnapshotVisit& visit)>;

/// Finds the agent's own record and makes it known to the pipeline.
Result<SelfTask> tell_self(const SnapshotSource& snapshot, Pipeline& pipeline);

/// Tells the pipeline every other process, with argv and environment from procfs. `show` false: they are only to be
/// known, no event is made of them. Those in `but` are left out. After each, `after_each` may take what is in `out`: of
/// ten thousand processes that is thirty megabytes.
Result<> tell_processes(const SnapshotSource& snapshot, bool show, Pipeline& pipeline, std::string& out,
                        const std::function<Result<>()>& after_each, const std::set<ProcessKey>& but = {});

}  // namespace nightjar
