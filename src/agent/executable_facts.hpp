// SPDX-License-Identifier: Apache-2.0
// What is worked out of files that were executed: SHA-256, the package that owns them. By a thread of its own,
// remembered by the file's identity.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "agent/package_databases.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// A file and its content: what changes the content, or the name's file, changes one of these.
struct FileIdentity {
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t ctime_ns = 0;
  std::uint32_t dev = 0;  ///< the kernel's encoding (wire_file::dev)
  bool operator==(const FileIdentity&) const = default;
};

/// Bounded: 8,192 results, 1,024 waiting requests; digests of files of at most 512 MiB, owners of paths of at most 512
/// bytes. All members but the constructor may be called from one thread only.
class ExecutableFacts {
 public:
  struct Wanted {
    bool digest = false;
    bool package = false;
  };
  struct Answer {
    bool pending = true;
    std::string sha256;                           ///< 64 hexadecimal digits; empty: not known
    std::optional<std::optional<Package>> owner;  ///< empty: not known; holding nothing: no package's
  };

  /// Fails with system when there are no more descriptors, and with not_found or unsupported when packages are wanted
  /// and there is no database that can be read.
  static Result<std::unique_ptr<ExecutableFacts>> make(const Wanted& wanted);
  ExecutableFacts(const ExecutableFacts&) = delete;
  ExecutableFacts& operator=(const ExecutableFacts&) = delete;
  /// Does not wait for a file that is being read.
  ~ExecutableFacts();

  /// Starts the thread; requests wait until then.
  void start();

  /// Asks for a file that `pid` runs, or that `path` may still name. What is known or waits already costs nothing.
  void ask(const FileIdentity& file, std::uint32_t pid, const std::string& path);

  /// What is known by now; not pending also when it was never asked for.
  [[nodiscard]] Answer answer(const FileIdentity& file, const std::string& path) const;
  [[nodiscard]] bool pending(const FileIdentity& file, const std::string& path) const;
  [[nodiscard]] const Wanted& wanted() const;

  /// Readable when an answer came since the last clear().
  [[nodiscard]] int fd() const;
  void clear();

 private:
  struct Shared;
  explicit ExecutableFacts(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  static void work(const std::shared_ptr<Shared>& shared);
  std::shared_ptr<Shared> shared_;
  bool started_ = false;
};

}  // namespace nightjar
