// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace nightjar {

/// As its package manager calls it.
struct Package {
  std::string type;  ///< deb or rpm
  std::string name, version, architecture;
  bool operator==(const Package&) const = default;
};

/// What differs after one of these files was changed or replaced; a file that is not there adds nothing.
std::string stamp_of(const std::vector<std::string>& files);

}  // namespace nightjar
