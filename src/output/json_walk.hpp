// SPDX-License-Identifier: Apache-2.0
// Reading single values out of an encoded event (for outputs that put some of them beside the JSON) or a collector's
// answer.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "wire/json.hpp"

namespace nightjar::json {

/// Gives each value that is no object, under its dotted name; arrays in one piece. `visit` answers whether to go on.
/// False: the text is no JSON object. It need not be trusted: nesting is bounded.
bool walk(std::string_view object, const std::function<bool(std::string_view name, std::string_view value)>& visit);

/// Gives each element of an array. False: it is none.
bool elements(std::string_view array, const std::function<void(std::string_view value)>& visit);

/// The first value of that dotted name as it stands in the JSON, or empty.
std::string_view find(std::string_view object, std::string_view name);

}  // namespace nightjar::json
