// SPDX-License-Identifier: Apache-2.0
// Which Debian package owns a file, from dpkg's own files; no dpkg is run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/package.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// Eight bytes for each installed file, at most 2,000,000 files; the names stay on the disk. For one thread.
class DpkgDatabase {
 public:
  /// `root`: of the system whose database it is; for tests.
  explicit DpkgDatabase(std::string root = {}) : root_(std::move(root)) {}

  /// Whether there is a database at all.
  [[nodiscard]] bool exists() const;

  /// The package whose file `path` is, an absolute path without links; nullopt: no package's. Reads the database when
  /// it changed since, at most every ten seconds: fails with invalid in between, and with system when it cannot be
  /// read.
  Result<std::optional<Package>> owner(std::string_view path);

  /// Counts how often the database was read: what was no package's before may be one's now.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }

 private:
  struct Entry {
    std::uint32_t hash;
    std::uint32_t list;  ///< of lists_
  };
  struct Diversion {
    std::string from, to, by;
  };
  [[nodiscard]] std::string folder() const { return root_ + "/var/lib/dpkg"; }
  [[nodiscard]] std::string stamp() const;
  [[nodiscard]] std::string_view plain(std::string_view path) const;
  Result<> refresh();
  Result<> read_all();
  void read_status(std::string_view text);
  void read_list(std::uint32_t number, std::string_view text);
  [[nodiscard]] bool lists(const std::string& list, std::string_view path) const;

  std::string root_;
  std::optional<std::string> stamp_;  ///< what tells a changed database; empty: it could not be read
  std::uint64_t read_at_s_ = 0;
  std::uint64_t generation_ = 0;
  bool merged_ = false;  ///< /bin is a link to /usr/bin
  std::vector<std::string> lists_;
  std::vector<Entry> entries_;  ///< in order of hash
  std::vector<Diversion> diversions_;
  std::unordered_map<std::string, Package> packages_;  ///< by the name of its list: NAME, or NAME:ARCHITECTURE
};

}  // namespace nightjar
