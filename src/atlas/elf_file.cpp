// SPDX-License-Identifier: Apache-2.0
#include "atlas/elf_file.hpp"

#include <elf.h>

namespace nightjar::atlas {

bool ElfFile::is_elf(Bytes bytes) {
  return bytes.size() >= sizeof(Elf64_Ehdr) && std::memcmp(bytes.data(), ELFMAG, SELFMAG) == 0;
}

Result<ElfFile> ElfFile::open(Bytes bytes) {
  if (!is_elf(bytes)) return corrupt("not an ELF file");
  const auto header = value_at<Elf64_Ehdr>(bytes, 0);
  constexpr unsigned char host = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != host)
    return corrupt("ELF of another word size or byte order");
  if (header.e_shentsize != sizeof(Elf64_Shdr)) return corrupt("ELF: no section headers, or of unknown size");
  ElfFile file;
  file.machine_ = header.e_machine;
  const auto first = value_at<Elf64_Shdr>(bytes, header.e_shoff);
  // More sections than fit into the header are counted in the first one.
  const std::uint64_t count = header.e_shnum != 0 ? header.e_shnum : first.sh_size;
  const std::uint64_t names = header.e_shstrndx != SHN_XINDEX ? header.e_shstrndx : first.sh_link;
  constexpr std::uint64_t most = 1U << 20U;
  if (count > most) return corrupt("ELF: too many sections");
  const Bytes table =
      NIGHTJAR_TRY(part_of(bytes, header.e_shoff, count * sizeof(Elf64_Shdr), "ELF: the table of sections"));
  if (names >= count) return corrupt("ELF: sections have no names");
  const auto name_section = value_at<Elf64_Shdr>(table, names * sizeof(Elf64_Shdr));
  const std::string_view all_names =
      as_text(NIGHTJAR_TRY(part_of(bytes, name_section.sh_offset, name_section.sh_size, "ELF: the sections' names")));
  for (std::uint64_t index = 0; index < count; ++index) {
    const auto raw = value_at<Elf64_Shdr>(table, index * sizeof(Elf64_Shdr));
    Section section;
    section.type = raw.sh_type;
    section.flags = raw.sh_flags;
    section.link = raw.sh_link;
    section.offset = raw.sh_offset;
    if (raw.sh_name < all_names.size()) {
      const std::string_view rest = all_names.substr(raw.sh_name);
      section.name = rest.substr(0, rest.find('\0'));
    }
    if (raw.sh_type != SHT_NOBITS && raw.sh_type != SHT_NULL) {
      section.data =
          NIGHTJAR_TRY(part_of(bytes, raw.sh_offset, raw.sh_size, "ELF: section " + std::string(section.name)));
    }
    file.sections_.push_back(section);
  }
  return file;
}

const ElfFile::Section* ElfFile::find(std::string_view name) const {
  for (const Section& section : sections_) {
    if (section.name == name && !section.data.empty()) return &section;
  }
  return nullptr;
}

std::string ElfFile::build_id() const {
  for (const Section& section : sections_) {
    if (section.type != SHT_NOTE) continue;
    if (std::string id = build_id_in_notes(section.data); !id.empty()) return id;
  }
  return {};
}

std::string build_id_in_notes(Bytes notes) {
  constexpr std::uint32_t type_build_id = 3;
  for (std::uint64_t at = 0; at + 12 <= notes.size();) {
    const std::uint64_t name_size = value_at<std::uint32_t>(notes, at);
    const std::uint64_t data_size = value_at<std::uint32_t>(notes, at + 4);
    const auto type = value_at<std::uint32_t>(notes, at + 8);
    const std::uint64_t name = at + 12;
    const std::uint64_t data = name + ((name_size + 3) & ~std::uint64_t{3});
    if (data > notes.size() || data_size > notes.size() - data) return {};
    if (type == type_build_id && name_size == 4 && std::memcmp(notes.data() + name, "GNU", 4) == 0)
      return std::string(as_text(notes.subspan(data, data_size)));
    at = data + ((data_size + 3) & ~std::uint64_t{3});
  }
  return {};
}

std::string to_hex(Bytes bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const std::byte b : bytes) {
    const auto value = static_cast<unsigned>(b);
    out += digits[value >> 4U];
    out += digits[value & 15U];
  }
  return out;
}

Result<std::string> from_hex(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (text.size() % 2 != 0) return Error(errc::invalid, "an odd number of hexadecimal digits: " + std::string(text));
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += 2) {
    const auto value = [&](char c) { return digits.find(static_cast<char>(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c)); };
    const std::size_t high = value(text[at]);
    const std::size_t low = value(text[at + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos)
      return Error(errc::invalid, "not a hexadecimal number: " + std::string(text));
    out += static_cast<char>(high << 4U | low);
  }
  return out;
}

}  // namespace nightjar::atlas
