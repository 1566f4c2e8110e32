// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "nightjar/features.hpp"

namespace nightjar {

/// Asks the kernel about one feature. The probes that need the kernel's BTF share one parse of it, so asking for one of
/// them answers all four.
std::map<Feature, FeatureAnswer> probe(Feature feature);

}  // namespace nightjar
