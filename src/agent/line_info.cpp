// SPDX-License-Identifier: Apache-2.0
#include "agent/line_info.hpp"

#include <cstdint>
#include <cstring>
#include <string_view>

#include <elf.h>

namespace nightjar {
namespace {

/// The first 32 bytes of .BTF.ext; offsets count from the header's end.
struct ExtensionHeader {
  std::uint16_t magic;
  std::uint8_t version, flags;
  std::uint32_t size;
  std::uint32_t functions_at, functions_size;
  std::uint32_t lines_at, lines_size;
  std::uint32_t relocations_at, relocations_size;
};
static_assert(sizeof(ExtensionHeader) == 32);
constexpr std::uint16_t btf_magic = 0xeb9f;

template <class T>
bool get(std::span<const std::byte> from, std::size_t at, T& value) {
  if (at > from.size() || sizeof value > from.size() - at) return false;
  std::memcpy(&value, from.data() + at, sizeof value);
  return true;
}

template <class T>
void put(std::vector<std::byte>& to, std::size_t at, const T& value) {
  std::memcpy(to.data() + at, &value, sizeof value);
}

std::string_view name_at(std::span<const std::byte> elf, const Elf64_Shdr& names, std::uint32_t at) {
  if (names.sh_offset > elf.size() || names.sh_size > elf.size() - names.sh_offset || at >= names.sh_size) return {};
  const std::string_view rest(reinterpret_cast<const char*>(elf.data()) + names.sh_offset + at, names.sh_size - at);
  return rest.substr(0, rest.find('\0'));
}

}  // namespace

std::vector<std::byte> without_line_info(std::span<const std::byte> elf) {
  std::vector<std::byte> whole(elf.begin(), elf.end());
  Elf64_Ehdr file;
  Elf64_Shdr names;
  if (!get(elf, 0, file) || std::memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 || file.e_ident[EI_CLASS] != ELFCLASS64 ||
      file.e_shentsize != sizeof(Elf64_Shdr) ||
      !get(elf, file.e_shoff + std::size_t{file.e_shstrndx} * sizeof(Elf64_Shdr), names))
    return whole;
  const auto header_at = [&](std::size_t section) { return file.e_shoff + section * sizeof(Elf64_Shdr); };
  std::vector<Elf64_Shdr> sections(file.e_shnum);
  Elf64_Shdr* extension = nullptr;
  for (std::size_t i = 0; i < sections.size(); ++i) {
    if (!get(elf, header_at(i), sections[i])) return whole;
    if (name_at(elf, names, sections[i].sh_name) == ".BTF.ext") extension = &sections[i];
  }
  ExtensionHeader header;
  if (extension == nullptr || extension->sh_size < sizeof header || !get(elf, extension->sh_offset, header) ||
      header.magic != btf_magic || header.size < sizeof header ||
      std::uint64_t{header.size} + header.lines_at + header.lines_size > extension->sh_size ||
      extension->sh_offset + extension->sh_size > elf.size())
    return whole;
  const std::uint64_t begin = extension->sh_offset + header.size + header.lines_at;
  const std::uint32_t removed = header.lines_size & ~7U;  // what stands behind stays aligned
  const auto moved = [&](std::uint64_t& offset) {
    if (offset > begin) offset -= removed;
  };
  header.lines_size = 0;
  if (header.functions_at > header.lines_at) header.functions_at -= removed;
  if (header.relocations_at > header.lines_at) header.relocations_at -= removed;
  put(whole, extension->sh_offset, header);
  extension->sh_size -= removed;
  for (std::size_t i = 0; i < sections.size(); ++i) {
    moved(sections[i].sh_offset);
    put(whole, header_at(i), sections[i]);
  }
  moved(file.e_shoff);
  put(whole, 0, file);
  whole.erase(whole.begin() + static_cast<std::ptrdiff_t>(begin),
              whole.begin() + static_cast<std::ptrdiff_t>(begin + removed));
  return whole;
}

}  // namespace nightjar
