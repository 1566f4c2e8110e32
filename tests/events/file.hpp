// SPDX-License-Identifier: Apache-2.0
// What the tests of the file family share.
#pragma once

#include "harness.hpp"

namespace nightjar::test {

/// Watches workloads/file_ops with the file family on. Events that this kernel cannot show are absent.
Watched watch_files(Strings arguments);

/// Every file event of the workload's process against its log, in order. `may_miss`: a tier that is degraded may miss
/// some, and what a rename overwrote, but invents nothing.
void expect_file_events(const Watched& watched, bool may_miss = false);

}  // namespace nightjar::test
