// SPDX-License-Identifier: Apache-2.0
#include "elf_image.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include <gelf.h>
#include <libelf.h>

#include <linux/bpf.h>

#include "handle.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
constexpr std::size_t instruction_size = sizeof(bpf_insn);
constexpr std::uint8_t code_ld_imm64 = BPF_LD | BPF_IMM | BPF_DW;
constexpr std::uint8_t code_call = BPF_JMP | BPF_CALL;

using ElfHandle = Handle<Elf, elf_end>;

Error corrupt(std::string what) {
  return {errc::corrupt, std::move(what)};
}

struct Section {
  std::string name;
  GElf_Shdr header{};
  std::span<const std::byte> data;

  [[nodiscard]] bool is_code() const {
    return header.sh_type == SHT_PROGBITS && (header.sh_flags & SHF_EXECINSTR) != 0 && header.sh_size != 0;
  }
};

}  // namespace

class ElfImage::Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  Result<ElfImage> read() {
    NIGHTJAR_CHECK(read_header());
    NIGHTJAR_CHECK(read_sections());
    NIGHTJAR_CHECK(read_symbols());
    NIGHTJAR_CHECK(name_symbols());
    for (const Section& section : sections_) {
      if (section.header.sh_type == SHT_REL) NIGHTJAR_CHECK(read_relocations(section));
    }
    read_local_calls();
    return std::move(image_);
  }

 private:
  struct Symbol {
    std::string name;
    GElf_Sym raw{};

    [[nodiscard]] unsigned type() const { return GELF_ST_TYPE(raw.st_info); }
  };

  Result<> read_header() {
    Elf64_Ehdr header{};
    if (bytes_.size() < sizeof(header)) return corrupt("not an ELF file: shorter than its header");
    std::memcpy(&header, bytes_.data(), sizeof(header));
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return corrupt("not an ELF file: wrong magic");
    constexpr unsigned char host_data = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
    if (header.e_ident[EI_CLASS] != ELFCLASS64) return corrupt("not a BPF object: not a 64-bit ELF file");
    if (header.e_ident[EI_DATA] != host_data) return corrupt("the object has the other byte order");
    if (header.e_type != ET_REL) return corrupt("not a BPF object: not a relocatable ELF file");
    if (header.e_machine != EM_BPF && header.e_machine != EM_NONE) {
      return corrupt("not a BPF object: made for machine " + std::to_string(header.e_machine));
    }
    if (header.e_shentsize != sizeof(Elf64_Shdr)) return corrupt("section headers have an unknown size");
    if (header.e_shnum == 0 || header.e_shnum >= SHN_LORESERVE) return corrupt("no sections, or too many");
    const std::uint64_t table = std::uint64_t{header.e_shnum} * sizeof(Elf64_Shdr);
    if (header.e_shoff > bytes_.size() || table > bytes_.size() - header.e_shoff) {
      return corrupt("truncated: the section headers are beyond the end");
    }
    return {};
  }

  Result<> read_sections() {
    ::elf_version(EV_CURRENT);
    // libelf takes a char* and only reads from it (it is opened with ELF_C_READ).
    elf_.reset(::elf_memory(const_cast<char*>(reinterpret_cast<const char*>(bytes_.data())),  // NOLINT
                            bytes_.size()));
    if (!elf_) return libelf("ELF");
    std::size_t count = 0;
    std::size_t names = 0;
    if (::elf_getshdrnum(elf_.get(), &count) != 0) return libelf("section count");
    if (::elf_getshdrstrndx(elf_.get(), &names) != 0) return libelf("section names");
    sections_.resize(count);
    for (std::size_t index = 1; index < count; ++index) {
      Section& section = sections_[index];
      const std::string where = "section " + std::to_string(index);
      Elf_Scn* scn = ::elf_getscn(elf_.get(), index);
      if (scn == nullptr || ::gelf_getshdr(scn, &section.header) == nullptr) return libelf(where);
      const char* name = ::elf_strptr(elf_.get(), names, section.header.sh_name);
      if (name == nullptr) return libelf(where + ": name");
      section.name = name;
      if (section.header.sh_type == SHT_NOBITS || section.header.sh_type == SHT_NULL) continue;
      if (section.header.sh_offset > bytes_.size() ||
          section.header.sh_size > bytes_.size() - section.header.sh_offset) {
        return corrupt("truncated: section " + section.name + " is beyond the end");
      }
      section.data = bytes_.subspan(section.header.sh_offset, section.header.sh_size);
      NIGHTJAR_CHECK(check_section(index, section));
    }
    return {};
  }

  Result<> check_section(std::size_t index, const Section& section) {
    const auto twice = [&](std::size_t& slot) -> Result<> {
      if (slot != 0) return corrupt("two sections " + section.name);
      slot = index;
      return {};
    };
    if (section.is_code() && section.data.size() % instruction_size != 0) {
      return corrupt("section " + section.name + " is not a whole number of instructions");
    }
    if (section.header.sh_type == SHT_SYMTAB) NIGHTJAR_CHECK(twice(symtab_));
    if (section.name == ".maps") NIGHTJAR_CHECK(twice(maps_section_));
    if (section.name == "license") image_.license_ = c_string(section.data);
    if (section.name == "version") NIGHTJAR_CHECK(read_version(section.data));
    // Whatever else is called so holds nothing: its relocations, and what was stripped.
    if (is_old_maps_section(section.name) && section.header.sh_type == SHT_PROGBITS) {
      image_.old_maps_.sections.push_back(index);
    }
    if (section.name == ".BTF") {
      NIGHTJAR_CHECK(twice(btf_));
      if (auto sound = check_btf(section.data); !sound) return std::move(sound).error().in(".BTF");
    }
    return {};
  }

  Result<> read_version(std::span<const std::byte> data) {
    constexpr std::uint32_t whatever_runs = 0xfffffffe;
    std::uint32_t number = 0;
    if (data.size() != sizeof(number)) return corrupt("section version does not hold 4 bytes");
    std::memcpy(&number, data.data(), sizeof(number));
    if (number != whatever_runs) image_.kernel_version_ = number;
    return {};
  }

  static std::string c_string(std::span<const std::byte> data) {
    const auto end = std::find(data.begin(), data.end(), std::byte{0});
    std::string text;
    std::transform(data.begin(), end, std::back_inserter(text), [](std::byte b) { return static_cast<char>(b); });
    return text;
  }

  Result<> read_symbols() {
    if (symtab_ == 0) return corrupt("no symbol table");
    const Section& section = sections_[symtab_];
    if (section.header.sh_entsize != sizeof(Elf64_Sym)) return corrupt("symbols have an unknown size");
    const std::size_t strings = section.header.sh_link;
    if (strings >= sections_.size() || sections_[strings].header.sh_type != SHT_STRTAB) {
      return corrupt("the symbol table has no names");
    }
    const std::size_t count = section.data.size() / sizeof(Elf64_Sym);
    symbols_.reserve(count);
    for (std::size_t index = 0; index < count; ++index) {
      Elf64_Sym raw{};
      std::memcpy(&raw, section.data.subspan(index * sizeof(raw)).data(), sizeof(raw));
      const char* name = ::elf_strptr(elf_.get(), strings, raw.st_name);
      if (name == nullptr) return libelf("symbol " + std::to_string(index) + ": name");
      if (raw.st_shndx < SHN_LORESERVE && raw.st_shndx >= sections_.size()) {
        return corrupt("symbol " + std::string(name) + " is in no section");
      }
      symbols_.push_back({.name = name, .raw = raw});
    }
    return {};
  }

  /// Functions and maps out of the symbols.
  Result<> name_symbols() {
    for (const Symbol& symbol : symbols_) {
      if (symbol.raw.st_shndx == SHN_UNDEF || symbol.raw.st_shndx >= SHN_LORESERVE) continue;
      const Section& section = sections_[symbol.raw.st_shndx];
      const std::uint64_t begin = symbol.raw.st_value;
      if (symbol.type() == STT_SECTION || symbol.type() == STT_FILE) continue;
      const bool is_function = symbol.type() == STT_FUNC && section.is_code();
      const bool is_map = maps_section_ != 0 && symbol.raw.st_shndx == maps_section_;
      const bool is_old_map = holds_old_maps(symbol.raw.st_shndx);
      if (!is_function && !is_map && !is_old_map) continue;
      if (begin > section.data.size() || symbol.raw.st_size > section.data.size() - begin) {
        return corrupt("symbol " + symbol.name + " is larger than section " + section.name);
      }
      const std::uint64_t end = begin + symbol.raw.st_size;
      if (is_old_map) {
        NIGHTJAR_CHECK(add_old_map(symbol, section.data.subspan(begin, symbol.raw.st_size)));
        continue;
      }
      if (is_map) {
        image_.maps_.push_back({.name = symbol.name, .begin = begin, .end = end, .inner = {}});
        continue;
      }
      if (begin % instruction_size != 0 || symbol.raw.st_size % instruction_size != 0 || begin == end) {
        return corrupt("function " + symbol.name + " is not a whole number of instructions");
      }
      image_.functions_.push_back(
          {.name = symbol.name, .section = symbol.raw.st_shndx, .begin = begin, .end = end, .maps = {}, .calls = {}});
    }
    return {};
  }

  [[nodiscard]] bool holds_old_maps(std::size_t section) const {
    const auto& all = image_.old_maps_.sections;
    return std::find(all.begin(), all.end(), section) != all.end();
  }

  Result<> add_old_map(const Symbol& symbol, std::span<const std::byte> definition) {
    if (maps_section_ != 0) {
      return Error(errc::unsupported, "map " + symbol.name +
                                          " is defined as struct bpf_map_def, others in section .maps: define all of "
                                          "them in SEC(\".maps\")");
    }
    if (GELF_ST_BIND(symbol.raw.st_info) == STB_LOCAL) return static_old_map(symbol.name);
    OldMap map = NIGHTJAR_TRY(read_old_map(symbol.name, definition));
    map.symbol = static_cast<std::size_t>(&symbol - symbols_.data());
    image_.old_maps_.symtab = symtab_;
    image_.old_maps_.btf = btf_;
    image_.old_maps_.maps.push_back(std::move(map));
    return {};
  }

  static Error static_old_map(const std::string& name) {
    return {errc::unsupported, "map " + name +
                                   " is a static struct bpf_map_def: nothing tells which map the programs mean. Leave "
                                   "out 'static', and build the object again"};
  }

  Result<> read_relocations(const Section& section) {
    if (section.header.sh_entsize != sizeof(Elf64_Rel)) {
      return corrupt("relocations in " + section.name + " have an unknown size");
    }
    if (section.header.sh_info >= sections_.size()) return corrupt(section.name + " relocates no section");
    const std::size_t target = section.header.sh_info;
    const bool in_maps = target == maps_section_ && maps_section_ != 0;
    if (!in_maps && !sections_[target].is_code()) return {};
    const std::size_t count = section.data.size() / sizeof(Elf64_Rel);
    for (std::size_t index = 0; index < count; ++index) {
      Elf64_Rel rel{};
      std::memcpy(&rel, section.data.subspan(index * sizeof(rel)).data(), sizeof(rel));
      const std::size_t symbol = ELF64_R_SYM(rel.r_info);
      if (symbol >= symbols_.size()) return corrupt("a relocation in " + section.name + " names no symbol");
      if (in_maps) {
        relocate_map(rel.r_offset, symbols_[symbol]);
      } else {
        NIGHTJAR_CHECK(relocate_code(target, rel.r_offset, symbols_[symbol]));
      }
    }
    return {};
  }

  /// A map's initial value names another map.
  void relocate_map(std::uint64_t offset, const Symbol& symbol) {
    for (MapSymbol& map : image_.maps_) {
      if (offset >= map.begin && offset < map.end) map.inner.insert(symbol.name);
    }
  }

  Result<> relocate_code(std::size_t section, std::uint64_t offset, const Symbol& symbol) {
    const std::span<const std::byte> code = sections_[section].data;
    if (offset % instruction_size != 0 || offset >= code.size()) {
      return corrupt("a relocation of " + sections_[section].name + " is beyond its end");
    }
    const std::size_t from = image_.function_at(section, offset);
    if (from == none) return {};  // code that belongs to no function is never loaded
    Function& function = image_.functions_[from];
    relocated_.insert({section, offset});
    const bpf_insn instruction = instruction_at(code, offset);
    const std::uint64_t base = symbol.raw.st_value;
    if (symbol.raw.st_shndx == SHN_UNDEF || symbol.raw.st_shndx >= SHN_LORESERVE) return {};  // kconfig, ksyms

    if (maps_section_ != 0 && symbol.raw.st_shndx == maps_section_) {
      const std::uint64_t at =
          symbol.type() == STT_SECTION ? static_cast<std::uint64_t>(static_cast<std::uint32_t>(instruction.imm)) : base;
      if (const MapSymbol* map = image_.map_at(at)) {
        function.maps.insert(map->name);
      } else {
        function.unresolved = true;
      }
      return {};
    }
    if (symbol.type() == STT_SECTION && holds_old_maps(symbol.raw.st_shndx)) {
      return static_old_map("in section " + sections_[symbol.raw.st_shndx].name);
    }
    if (!sections_[symbol.raw.st_shndx].is_code()) return {};  // global data

    std::int64_t to = static_cast<std::int64_t>(base);
    if (instruction.code == code_call) {
      to += (std::int64_t{instruction.imm} + 1) * static_cast<std::int64_t>(instruction_size);
    } else if (instruction.code == code_ld_imm64) {
      to += instruction.imm;
    }
    const std::size_t callee = to < 0 ? none : image_.function_at(symbol.raw.st_shndx, static_cast<std::uint64_t>(to));
    if (callee == none) {
      function.unresolved = true;
    } else {
      function.calls.insert(callee);
    }
    return {};
  }

  /// Calls within one section need no relocation.
  void read_local_calls() {
    for (Function& function : image_.functions_) {
      const std::span<const std::byte> code = sections_[function.section].data;
      for (std::uint64_t offset = function.begin; offset < function.end; offset += instruction_size) {
        const bpf_insn instruction = instruction_at(code, offset);
        if (instruction.code == code_ld_imm64) {
          offset += instruction_size;  // the second half is not an instruction
          continue;
        }
        if (instruction.code != code_call || instruction.src_reg != BPF_PSEUDO_CALL) continue;
        if (relocated_.contains({function.section, offset})) continue;
        const std::int64_t to = static_cast<std::int64_t>(offset) +
                                (std::int64_t{instruction.imm} + 1) * static_cast<std::int64_t>(instruction_size);
        const std::size_t callee = to < 0 ? none : image_.function_at(function.section, static_cast<std::uint64_t>(to));
        if (callee == none) {
          function.unresolved = true;
        } else {
          function.calls.insert(callee);
        }
      }
    }
  }

  static bpf_insn instruction_at(std::span<const std::byte> code, std::uint64_t offset) {
    bpf_insn instruction{};
    std::memcpy(&instruction, code.subspan(offset, instruction_size).data(), sizeof(instruction));
    return instruction;
  }

  static Error libelf(const std::string& where) {
    const char* why = ::elf_errmsg(-1);
    return corrupt(where + ": " + (why != nullptr ? why : "cannot be read"));
  }

  std::span<const std::byte> bytes_;
  ElfHandle elf_;
  std::vector<Section> sections_;
  std::vector<Symbol> symbols_;
  std::set<std::pair<std::size_t, std::uint64_t>> relocated_;
  std::size_t symtab_ = 0;
  std::size_t maps_section_ = 0;
  std::size_t btf_ = 0;
  ElfImage image_;
};

Result<ElfImage> ElfImage::parse(std::span<const std::byte> bytes) {
  return Reader(bytes).read();
}

std::size_t ElfImage::function_at(std::size_t section, std::uint64_t offset) const {
  const auto found = std::find_if(functions_.begin(), functions_.end(), [&](const Function& function) {
    return function.section == section && offset >= function.begin && offset < function.end;
  });
  return found == functions_.end() ? none : static_cast<std::size_t>(found - functions_.begin());
}

const ElfImage::MapSymbol* ElfImage::map_at(std::uint64_t offset) const {
  const auto found = std::find_if(maps_.begin(), maps_.end(), [&](const MapSymbol& map) {
    return offset == map.begin || (offset > map.begin && offset < map.end);
  });
  return found == maps_.end() ? nullptr : &*found;
}

std::set<std::string, std::less<>> ElfImage::maps_of(std::string_view name) const {
  std::set<std::string, std::less<>> maps;
  std::set<std::size_t> seen;
  std::vector<std::size_t> todo;
  for (std::size_t index = 0; index < functions_.size(); ++index) {
    if (functions_[index].name == name) todo.push_back(index);
  }
  bool unresolved = todo.empty();
  while (!todo.empty()) {
    const std::size_t index = todo.back();
    todo.pop_back();
    if (!seen.insert(index).second) continue;
    const Function& function = functions_[index];
    unresolved = unresolved || function.unresolved;
    maps.insert(function.maps.begin(), function.maps.end());
    todo.insert(todo.end(), function.calls.begin(), function.calls.end());
  }
  if (unresolved) {
    for (const MapSymbol& map : maps_) maps.insert(map.name);
    return maps;
  }
  for (bool grown = true; grown;) {
    grown = false;
    for (const MapSymbol& map : maps_) {
      if (!maps.contains(map.name)) continue;
      for (const std::string& inner : map.inner) grown = maps.insert(inner).second || grown;
    }
  }
  return maps;
}

}  // namespace nightjar
