// SPDX-License-Identifier: Apache-2.0
// Maps that an object defines the old way: as variables of struct bpf_map_def in a section "maps" or "maps/NAME".
// libbpf reads them no more (1.0), so they are rewritten as what it reads: variables in ".maps" that BTF describes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nightjar/result.hpp"

namespace nightjar {

/// Whether a section of that name holds such definitions.
bool is_old_maps_section(std::string_view name);

/// One definition.
struct OldMap {
  std::string name;
  std::size_t symbol = 0;  ///< its index in the symbol table
  std::uint32_t type = 0, key_size = 0, value_size = 0, max_entries = 0, flags = 0;
};

/// Those of one object, and where the parts are that name them.
struct OldMaps {
  std::vector<OldMap> maps;
  std::vector<std::size_t> sections;  ///< that hold them
  std::size_t symtab = 0;             ///< the section's number
  std::size_t btf = 0;                ///< 0: none
};

/// The struct's bytes. Fails with corrupt (too short, no type), or unsupported: what it asks for beyond type, sizes,
/// entries and flags was understood differently by each loader, and cannot be guessed.
Result<OldMap> read_old_map(std::string name, std::span<const std::byte> definition);

/// The same object with the maps in ".maps". `elf` must be what ElfImage::parse took, and `old` its answer. Fails with
/// corrupt or system (memory).
Result<std::vector<std::byte>> rewrite_old_maps(std::span<const std::byte> elf, const OldMaps& old);

}  // namespace nightjar
