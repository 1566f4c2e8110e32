// SPDX-License-Identifier: Apache-2.0
// Which package owns a file, whatever package manager the machine has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/dpkg_database.hpp"
#include "agent/package.hpp"
#include "agent/rpm_database.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// The databases that are there: dpkg's is asked first. For one thread.
class PackageDatabases {
 public:
  /// `root`: of the system whose databases they are; for tests.
  explicit PackageDatabases(const std::string& root = {}) : dpkg_(root), rpm_(root) {}

  /// Finds what is there. Fails with not_found when there is none, with unsupported when it is one that is not read.
  Result<> open();

  /// The package whose file `path` is, an absolute path without links; nullopt: no package's. Fails when a database
  /// cannot be read, or is being changed: the next call may have more luck.
  Result<std::optional<Package>> owner(std::string_view path);

  /// Changes with the databases: what was no package's before may be one's now.
  [[nodiscard]] std::uint64_t generation() const { return dpkg_.generation() + rpm_.generation(); }

 private:
  DpkgDatabase dpkg_;
  RpmDatabase rpm_;
  bool has_dpkg_ = false;
  bool has_rpm_ = false;
};

}  // namespace nightjar
