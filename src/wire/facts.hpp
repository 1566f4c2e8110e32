// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "wire/events.hpp"
#include "wire/json.hpp"

namespace nightjar {

/// Values that user space adds: finished JSON, empty for absent. Views: they must outlive the call of encode().
struct Facts {
  std::array<std::string_view, fact_count> values{};
  std::vector<json::Named> raw;  ///< exact bytes of text fields that were not UTF-8

  std::string_view& operator[](Fact fact) { return values[static_cast<std::size_t>(fact)]; }
  std::string_view operator[](Fact fact) const { return values[static_cast<std::size_t>(fact)]; }
  void clear() {
    values = {};
    raw.clear();
  }
};

}  // namespace nightjar
