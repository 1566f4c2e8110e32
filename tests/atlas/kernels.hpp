// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace nightjar::test {

/// Kernel images that the kernel matrix keeps in its cache (tests/vm/fetch.py); none on a machine that never ran it.
std::vector<std::string> cached_images();

}  // namespace nightjar::test
