// SPDX-License-Identifier: Apache-2.0
// Debian packages and package indices.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "atlas/files.hpp"
#include "atlas/source.hpp"

namespace nightjar::atlas {

/// A file out of a package: in memory, or, when it is large, in an unlinked file that is mapped.
class Content {
 public:
  explicit Content(std::string text) : text_(std::move(text)) {}
  explicit Content(MappedFile file) : file_(std::move(file)) {}
  [[nodiscard]] Bytes bytes() const { return file_ ? file_->bytes() : as_bytes(text_); }

 private:
  std::string text_;
  std::optional<MappedFile> file_;
};

struct PackageFilter {
  /// Whether a file is wanted, by its path ("boot/vmlinuz-6.1.0-1-amd64").
  std::function<bool(std::string_view path)> wants;
  /// Takes a wanted file; false: nothing more is needed, and the rest of the package is not read.
  std::function<Result<bool>(std::string_view path, Content content)> take;
};

/// Walks the files of a Debian package (ar, with data.tar compressed by gzip, xz, zstd or not) in their order. A
/// package that was cut off is an error only if something was still wanted. Fails with corrupt.
Result<> read_package(Source& package, const PackageFilter& filter);
bool is_package(Bytes beginning);

/// Whether a path in a package is the kernel: an image, or a debug package's vmlinux.
bool is_kernel_path(std::string_view path);

struct IndexEntry {
  std::string package, version, architecture, path;  ///< path: Filename
  std::uint64_t size = 0;

  /// PACKAGE_VERSION_ARCHITECTURE
  [[nodiscard]] std::string id() const { return package + "_" + version + "_" + architecture; }
};

/// The packages of a Packages file that hold a kernel: images and their newer halves, debug packages when asked for.
/// Not: empty packages that only depend on others, and unsigned copies of a signed image.
std::vector<IndexEntry> kernel_packages(std::string_view packages, bool debug_packages);

}  // namespace nightjar::atlas
