// SPDX-License-Identifier: Apache-2.0
// SHA-256 of files that were executed, worked out by a thread of its own and remembered by the file's identity.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

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

/// Bounded: 8,192 results, 1,024 waiting requests, files of at most 512 MiB. All members but the constructor may be
/// called from one thread only.
class FileHashes {
 public:
  /// Fails with system when there are no more descriptors.
  static Result<std::unique_ptr<FileHashes>> make();
  FileHashes(const FileHashes&) = delete;
  FileHashes& operator=(const FileHashes&) = delete;
  /// Does not wait for a file that is being read.
  ~FileHashes();

  /// Starts the thread; requests wait until then.
  void start();

  /// Asks for a file that `pid` runs, or that `path` may still name. What is known or waits already costs nothing.
  void ask(const FileIdentity& file, std::uint32_t pid, const std::string& path);

  enum class State : std::uint8_t { unknown, pending, known, failed };
  [[nodiscard]] State state(const FileIdentity& file) const;
  /// 64 hexadecimal digits; empty unless known.
  [[nodiscard]] std::string sha256(const FileIdentity& file) const;

  /// Readable when an answer came since the last clear().
  [[nodiscard]] int fd() const;
  void clear();

 private:
  struct Shared;
  explicit FileHashes(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  static void work(const std::shared_ptr<Shared>& shared);
  std::shared_ptr<Shared> shared_;
  bool started_ = false;
};

/// The digest of the file, if it is this one before and after it was read. Fails with not_found (the process is gone,
/// and no path leads to it), changed files and too large ones with invalid, system.
Result<std::string> sha256_of_file(const FileIdentity& file, std::uint32_t pid, const std::string& path);

}  // namespace nightjar
