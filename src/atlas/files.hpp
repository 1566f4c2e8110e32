// SPDX-License-Identifier: Apache-2.0
// The few things of files that the atlas needs.
#pragma once

#include <string>
#include <utility>

#include "atlas/bytes.hpp"

namespace nightjar::atlas {

/// A file mapped for reading.
class MappedFile {
 public:
  /// Fails with not_found, denied, invalid (not a regular file), system.
  static Result<MappedFile> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  MappedFile& operator=(MappedFile&&) = delete;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] Bytes bytes() const { return {static_cast<const std::byte*>(data_), data_ == nullptr ? 0 : size_}; }

 private:
  MappedFile(void* data, std::size_t size) : data_(data), size_(size) {}
  void* data_;
  std::size_t size_;
};

/// The whole of a file that may have no size (procfs, sysfs). Fails as MappedFile, and with invalid beyond `most`
/// bytes.
Result<std::string> read_whole(const std::string& path, std::size_t most);

/// Writes a file beside `path`, syncs and renames it: `path` is the old file or the new, never a half one.
Result<> write_whole(const std::string& path, std::string_view bytes);

}  // namespace nightjar::atlas
