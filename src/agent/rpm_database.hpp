// SPDX-License-Identifier: Apache-2.0
// Which rpm package owns a file, from rpm's own database; no rpm is run.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/package.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

struct SqliteApi;

/// The database in SQLite's format: rpm's since 4.16 (Fedora 33, RHEL 9, Amazon Linux 2023). Nothing is kept between
/// two questions, neither memory nor a lock that rpm would wait for. For one thread.
class RpmDatabase {
 public:
  /// `root`: of the system whose database it is; for tests. Must be a path that a URI takes as it is.
  explicit RpmDatabase(std::string root = {}) : root_(std::move(root)) {}

  /// Finds the database and loads libsqlite3. Fails with not_found when there is none, and with unsupported when it is
  /// one in an older format, or the library is missing.
  Result<> open();

  /// The package that installed `path`, an absolute path without links; nullopt: none did. Fails with busy while the
  /// database is being changed, with corrupt or system when it cannot be read.
  Result<std::optional<Package>> owner(std::string_view path);

  /// Counts how often the database was seen to be another.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }

 private:
  [[nodiscard]] bool same_folder(std::string_view listed, std::string_view folder) const;
  [[nodiscard]] Result<std::optional<Package>> look_up(std::string_view folder, const std::string& name) const;

  std::string root_;
  std::string file_;
  std::shared_ptr<const SqliteApi> api_;
  std::string stamp_;
  std::uint64_t generation_ = 0;
};

}  // namespace nightjar
