// SPDX-License-Identifier: Apache-2.0
#include "file_symbol.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <set>
#include <sstream>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <unistd.h>

#include "handle.hpp"
#include "nightjar/unique_fd.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

using ElfHandle = Handle<Elf, elf_end>;

#if defined(__x86_64__)
constexpr const char* multiarch = "x86_64-linux-gnu";
#else
constexpr const char* multiarch = "aarch64-linux-gnu";
#endif

bool is_there(const std::string& path) {
  return ::access(path.c_str(), R_OK) == 0;
}

Result<std::string> find_file(const std::string& name) {
  const auto missing = [&](const std::string& where) {
    return Error(errc::unsupported, "no file " + text::quoted(name) + where, ENOENT);
  };
  if (name.find('/') != std::string::npos) return is_there(name) ? Result<std::string>(name) : missing("");
  std::vector<std::string> folders;
  if (name.find(".so") != std::string::npos) {
    for (const std::string base : {"/lib/", "/usr/lib/"}) folders.push_back(base + multiarch);
    folders.insert(folders.end(), {"/lib64", "/usr/lib64", "/usr/local/lib", "/lib", "/usr/lib"});
  } else if (const char* path = std::getenv("PATH")) {  // NOLINT(concurrency-mt-unsafe): read only
    std::istringstream in(path);
    for (std::string folder; std::getline(in, folder, ':');) folders.push_back(folder);
  }
  for (const std::string& folder : folders) {
    if (std::string path = folder + "/" + name; is_there(path)) return path;
  }
  return missing(" in " + text::join(folders, ":"));
}

/// "0x1f" or "31", all of it.
bool parse_number(std::string_view digits, std::uint64_t& number) {
  const int base = digits.starts_with("0x") ? 16 : 10;
  if (base == 16) digits.remove_prefix(2);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  return error == std::errc() && end == digits.data() + digits.size() && !digits.empty();
}

/// The functions of one symbol table; the name that is looked for ends it.
bool find_in_table(Elf* elf, Elf_Scn* scn, const GElf_Shdr& header, const std::string& name, GElf_Sym& found,
                   std::set<std::string>& others) {
  Elf_Data* data = ::elf_getdata(scn, nullptr);
  if (data == nullptr || header.sh_entsize == 0) return false;
  const auto count = static_cast<int>(header.sh_size / header.sh_entsize);
  for (int index = 0; index < count; ++index) {
    GElf_Sym symbol{};
    if (::gelf_getsym(data, index, &symbol) == nullptr) break;
    if (GELF_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF || symbol.st_value == 0) continue;
    const char* known = ::elf_strptr(elf, header.sh_link, symbol.st_name);
    if (known == nullptr) continue;
    if (name == known) {
      found = symbol;
      return true;
    }
    others.emplace(known);
  }
  return false;
}

/// From an address as linked to a place in the file.
Result<std::uint64_t> file_offset(Elf* elf, const std::string& path, std::uint64_t address) {
  std::size_t count = 0;
  if (::elf_getphdrnum(elf, &count) != 0) count = 0;
  for (std::size_t index = 0; index < count; ++index) {
    GElf_Phdr segment{};
    if (::gelf_getphdr(elf, static_cast<int>(index), &segment) == nullptr || segment.p_type != PT_LOAD) continue;
    if (address >= segment.p_vaddr && address - segment.p_vaddr < segment.p_filesz) {
      return address - segment.p_vaddr + segment.p_offset;
    }
  }
  return Error(errc::corrupt, path + ": the function is in no segment of the file");
}

}  // namespace

Result<FilePoint> parse_file_point(const std::string& point) {
  const auto colon = point.find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == point.size()) {
    return Error(errc::invalid, "attach point " + text::quoted(point) + " is not of the form PATH:function");
  }
  FilePoint parsed{.path = {}, .function = point.substr(colon + 1), .offset = 0};
  const auto plus = parsed.function.find('+');
  if (plus != std::string::npos) {
    if (!parse_number(std::string_view(parsed.function).substr(plus + 1), parsed.offset)) {
      return Error(errc::invalid, "attach point " + text::quoted(point) + ": the offset is no number");
    }
    parsed.function.resize(plus);
  } else if (parsed.function.starts_with("0x")) {
    if (!parse_number(parsed.function, parsed.offset)) {
      return Error(errc::invalid, "attach point " + text::quoted(point) + ": the offset is no number");
    }
    parsed.function.clear();
  }
  parsed.path = NIGHTJAR_TRY(find_file(point.substr(0, colon)));
  return parsed;
}

Result<std::uint64_t> function_offset(const std::string& path, const std::string& name) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return Error::from_errno("open " + path);
  ::elf_version(EV_CURRENT);
  const ElfHandle elf(::elf_begin(fd.get(), ELF_C_READ_MMAP, nullptr));
  if (!elf || ::elf_kind(elf.get()) != ELF_K_ELF) return Error(errc::corrupt, path + " is no ELF file");
  std::set<std::string> others;
  Elf_Scn* scn = nullptr;
  while ((scn = ::elf_nextscn(elf.get(), scn)) != nullptr) {
    GElf_Shdr header{};
    if (::gelf_getshdr(scn, &header) == nullptr) continue;
    if (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM) continue;
    GElf_Sym found{};
    if (find_in_table(elf.get(), scn, header, name, found, others)) return file_offset(elf.get(), path, found.st_value);
  }
  return Error(errc::unsupported,
               "no function " + text::quoted(name) + " in " + path +
                   text::did_you_mean(name, std::vector<std::string_view>(others.begin(), others.end())),
               ENOENT);
}

}  // namespace nightjar
