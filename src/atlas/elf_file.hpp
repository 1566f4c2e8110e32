// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "atlas/bytes.hpp"

namespace nightjar::atlas {

/// The sections of a 64-bit ELF file in this machine's byte order. Borrows the bytes.
class ElfFile {
 public:
  struct Section {
    std::string_view name;
    std::uint32_t type = 0;
    std::uint64_t flags = 0;
    std::uint32_t link = 0;
    std::uint64_t offset = 0;
    Bytes data;  ///< as in the file: may be compressed (SHF_COMPRESSED); empty for SHT_NOBITS
  };

  /// Fails with corrupt.
  static Result<ElfFile> open(Bytes bytes);
  static bool is_elf(Bytes bytes);

  [[nodiscard]] std::uint16_t machine() const { return machine_; }
  [[nodiscard]] const std::vector<Section>& sections() const { return sections_; }
  /// Null when there is none of that name.
  [[nodiscard]] const Section* find(std::string_view name) const;
  /// The GNU build id, from the notes; empty when there is none.
  [[nodiscard]] std::string build_id() const;

 private:
  std::uint16_t machine_ = 0;
  std::vector<Section> sections_;
};

/// The build id in notes as the kernel lays them out (.notes, /sys/kernel/notes): note "GNU" of type 3. Others, such as
/// the build salt, are not it.
std::string build_id_in_notes(Bytes notes);

std::string to_hex(Bytes bytes);
/// Fails with invalid.
Result<std::string> from_hex(std::string_view text);

}  // namespace nightjar::atlas
