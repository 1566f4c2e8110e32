// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <bpf/libbpf.h>

#include "nightjar/result.hpp"

namespace nightjar {

using Constants = std::map<std::string, std::vector<std::byte>, std::less<>>;

/// Writes the values of `const volatile` globals into an object that is open and not yet loaded. Fails with invalid: no
/// such variable (the nearest is named), or another size.
Result<> set_constants(bpf_object* object, const Constants& values);

}  // namespace nightjar
