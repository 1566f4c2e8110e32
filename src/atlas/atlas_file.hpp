// SPDX-License-Identifier: Apache-2.0
// The atlas file. All numbers are little-endian, or 7 bits a byte (bytes.hpp) inside of sections.
//
//   header   64 bytes: magic "NJATLAS\1", sections, length of the file, SHA-256 of what follows the header
//   table    one entry a section: what, codec, offset, length, length when decompressed
//   sections wanted    the wanted members, one a line; none: every type is kept
//            types     types, those inside first; a type refers to earlier ones by number
//            layouts   lists of types with a name, each as the difference to an earlier one
//            kernels   sorted by name
//   signature, optional: magic "NJSIGN\0\1", the Ed25519 public key, the signature of the header
#pragma once

#include <cstdint>
#include <cstring>

#include "atlas/bytes.hpp"

namespace nightjar::atlas {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is written as this machine's memory");

inline constexpr char file_magic[8] = {'N', 'J', 'A', 'T', 'L', 'A', 'S', 1};
inline constexpr char signature_magic[8] = {'N', 'J', 'S', 'I', 'G', 'N', 0, 1};

/// An atlas of some version of the format; the magic's last byte has the version.
inline bool is_atlas(Bytes bytes) {
  constexpr std::size_t name = sizeof(file_magic) - 1;
  return bytes.size() >= name && std::memcmp(bytes.data(), file_magic, name) == 0;
}

struct FileHeader {
  char magic[8];
  std::uint32_t section_count;
  std::uint32_t reserved;
  std::uint64_t length;  ///< of the file, without the signature
  std::uint64_t reserved2;
  std::byte checksum[32];
};
static_assert(sizeof(FileHeader) == 64);

enum class SectionKind : std::uint32_t { wanted = 1, types = 2, layouts = 3, kernels = 4 };
enum class Codec : std::uint32_t { none = 0, zstd = 1 };

struct SectionEntry {
  SectionKind kind;
  Codec codec;
  std::uint64_t offset, length, full_length;
};
static_assert(sizeof(SectionEntry) == 32);

struct SignatureBlock {
  char magic[8];
  char key[32];
  char signature[64];
};
static_assert(sizeof(SignatureBlock) == 104);

/// A hostile file must not fill the memory: no section may be larger. All types of some 10,000 kernels fit.
inline constexpr std::uint64_t largest_section = std::uint64_t{256} << 20U;

}  // namespace nightjar::atlas
