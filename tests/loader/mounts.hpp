// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "nightjar/unique_fd.hpp"

namespace nightjar::test {

/// A file system that only this process sees, mounted nowhere.
class PrivateMount {
 public:
  /// `type` as for mount(8).
  explicit PrivateMount(const std::string& type);
  [[nodiscard]] bool valid() const { return root_.valid(); }
  [[nodiscard]] const std::string& why_not() const { return why_not_; }
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(root_.get()); }

 private:
  UniqueFd root_;
  std::string why_not_;
};

}  // namespace nightjar::test
