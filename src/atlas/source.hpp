// SPDX-License-Identifier: Apache-2.0
// Bytes that come one after another, from a file or out of a compressed stream, so that only the part that is needed is
// read.
#pragma once

#include <memory>
#include <string>

#include "atlas/bytes.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar::atlas {

class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;
  /// Fills what it can of `into`; 0 at the end only.
  virtual Result<std::size_t> read(std::span<std::byte> into) = 0;

  /// Fills all of `into`, or fails with corrupt (cut off).
  Result<> read_all(std::span<std::byte> into);
  /// Reads and forgets.
  Result<> skip(std::uint64_t count);
};

using SourcePointer = std::unique_ptr<Source>;

SourcePointer source_of(Bytes bytes);
/// Fails with not_found, denied, system.
Result<SourcePointer> source_of_file(const std::string& path);
/// Of an open file or pipe; `name` is for errors.
SourcePointer source_of_descriptor(UniqueFd file, std::string name);
/// The next `length` bytes of another source.
SourcePointer first_of(Source& inner, std::uint64_t length);

enum class Compression : std::uint8_t { none, gzip, xz, lzma, zstd, lz4_legacy, lz4_frame };

/// By the magic at the beginning.
Compression compression_of(Bytes beginning);
/// What a source holds when decompressed. Trailing bytes are ignored, as the kernel does with its own image.
SourcePointer decompressed(SourcePointer inner, Compression compression);

/// All that is left of a source. Fails with corrupt beyond `most` bytes.
Result<std::string> read_rest(Source& source, std::uint64_t most);

}  // namespace nightjar::atlas
