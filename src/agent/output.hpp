// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {

/// Where events go: "-" (stdout) or "file:PATH" (appended to, created with mode 0600). Written in whole lines, one
/// write(2) a batch.
class Output {
 public:
  /// invalid for an unknown form of URI; the open's own error otherwise.
  static Result<Output> open(const std::string& uri);

  /// Writes all of it, waiting when the other end is slow. The error names the output.
  Result<> write(std::string_view lines);

 private:
  explicit Output(std::string name) : name_(std::move(name)) {}
  std::string name_;
  UniqueFd file_;
};

}  // namespace nightjar
