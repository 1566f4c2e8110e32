// SPDX-License-Identifier: Apache-2.0
// Workloads that log what each call of theirs must make the sensor tell (truth_told of workloads/truth.h).
#pragma once

#include "harness.hpp"

namespace nightjar::test {

/// Every call that the workload logged has its event, in its order, with the fields that it says; and there is no other
/// event of these actions. An action that this tier cannot see is left out, but on no tier below the system calls. A
/// field with a '?' before its name is one that only those tiers have.
void expect_told(const Watched& watched, const Strings& actions);

}  // namespace nightjar::test
