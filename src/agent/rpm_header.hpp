// SPDX-License-Identifier: Apache-2.0
// What rpm's database keeps of a package: its header, an index of tags and their values. Makes no system call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "agent/package.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// Views of the bytes that it was made from.
class RpmHeader {
 public:
  struct File {
    std::string_view folder;  ///< with a slash at its end
    std::string_view name;
    bool installed = false;  ///< by this package: another one's may have taken its place
  };

  /// Fails with corrupt when the sizes do not fit.
  static Result<RpmHeader> read(std::span<const std::byte> blob);

  /// Version: [EPOCH:]VERSION-RELEASE. Fails with corrupt, also when one of them is missing.
  [[nodiscard]] Result<Package> package() const;
  /// Fails with corrupt, also when there are fewer files.
  [[nodiscard]] Result<File> file(std::uint32_t number) const;

 private:
  using Bytes = std::span<const std::byte>;
  RpmHeader(Bytes index, Bytes data) : index_(index), data_(data) {}
  [[nodiscard]] std::optional<Bytes> values(std::uint32_t tag, std::uint32_t type, std::uint32_t at_least) const;
  [[nodiscard]] Result<std::string_view> text(std::uint32_t tag, std::uint32_t type, std::uint32_t number) const;
  [[nodiscard]] std::optional<std::uint32_t> number(std::uint32_t tag, std::uint32_t at) const;
  Bytes index_;  ///< 16 bytes each: tag, type, offset, count, the most significant byte first
  Bytes data_;
};

}  // namespace nightjar
