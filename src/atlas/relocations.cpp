// SPDX-License-Identifier: Apache-2.0
// CO-RE relocations of a BPF object: .BTF.ext names a type of .BTF and a path in it ("0:3:1") for each instruction.
#include <charconv>
#include <tuple>

#include <elf.h>

#include <linux/btf.h>

#include "atlas/elf_file.hpp"
#include "atlas/wanted.hpp"

namespace nightjar::atlas {
namespace {

/// linux/bpf.h: enum bpf_core_relo_kind
enum class Relocation : std::uint32_t {
  field_first = 0,
  field_exists = 2,
  field_last = 5,
  type_id_local = 6,
  type_id_target = 7,
  type_exists = 8,
  type_size = 9,
  value_exists = 10,
  value = 11,
  type_matches = 12,
};

constexpr std::uint32_t kind_enum64 = 19;

/// The local types, as the relocations see them: no cutting at pointers, no pool.
class LocalTypes {
 public:
  static Result<LocalTypes> open(Bytes btf) {
    if (btf.size() < sizeof(btf_header)) return corrupt("the object's BTF is shorter than its header");
    const auto header = value_at<btf_header>(btf, 0);
    if (header.magic != BTF_MAGIC) return corrupt("the object's BTF has a wrong magic");
    LocalTypes types;
    types.types_ = NIGHTJAR_TRY(part_of(btf, std::uint64_t{header.hdr_len} + header.type_off, header.type_len, "BTF"));
    types.strings_ = NIGHTJAR_TRY(part_of(btf, std::uint64_t{header.hdr_len} + header.str_off, header.str_len, "BTF"));
    for (std::size_t at = 0; at + sizeof(btf_type) <= types.types_.size();) {
      types.offsets_.push_back(at);
      const auto type = value_at<btf_type>(types.types_, at);
      at += sizeof(btf_type) + tail(BTF_INFO_KIND(type.info), BTF_INFO_VLEN(type.info));
    }
    return types;
  }

  [[nodiscard]] std::string_view string(std::uint32_t offset) const {
    const std::string_view all = as_text(strings_);
    if (offset >= all.size()) return {};
    const std::string_view rest = all.substr(offset);
    return rest.substr(0, rest.find('\0'));
  }
  /// Kind 0 (void) for a number that is no type's.
  [[nodiscard]] btf_type at(std::uint32_t id) const {
    return id == 0 || id > offsets_.size() ? btf_type{} : value_at<btf_type>(types_, offsets_[id - 1]);
  }
  [[nodiscard]] std::uint32_t word(std::uint32_t id, std::size_t index) const {
    if (id == 0 || id > offsets_.size()) return 0;
    return value_at<std::uint32_t>(types_, offsets_[id - 1] + sizeof(btf_type) + index * 4);
  }
  /// Through const, volatile, typedef and the like.
  [[nodiscard]] std::uint32_t bare(std::uint32_t id, bool through_typedef) const {
    for (int step = 0; step < 32; ++step) {
      const btf_type type = at(id);
      const std::uint32_t kind = BTF_INFO_KIND(type.info);
      const bool skip = kind == BTF_KIND_CONST || kind == BTF_KIND_VOLATILE || kind == BTF_KIND_RESTRICT ||
                        kind == BTF_KIND_TYPE_TAG || (through_typedef && kind == BTF_KIND_TYPEDEF);
      if (!skip) return id;
      id = type.type;
    }
    return 0;
  }

 private:
  static std::size_t tail(std::uint32_t kind, std::size_t count) {
    switch (kind) {
      case BTF_KIND_INT:
      case BTF_KIND_VAR:
      case BTF_KIND_DECL_TAG:
        return 4;
      case BTF_KIND_ARRAY:
        return 12;
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION:
      case BTF_KIND_DATASEC:
      case kind_enum64:
        return 12 * count;
      case BTF_KIND_ENUM:
      case BTF_KIND_FUNC_PROTO:
        return 8 * count;
      default:
        return 0;
    }
  }
  Bytes types_, strings_;
  std::vector<std::size_t> offsets_;
};

TypeKind kind_of(std::uint32_t kind) {
  switch (kind) {
    case BTF_KIND_STRUCT:
      return TypeKind::structure;
    case BTF_KIND_UNION:
      return TypeKind::onion;
    case BTF_KIND_TYPEDEF:
      return TypeKind::alias;
    case BTF_KIND_ENUM:
    case kind_enum64:
      return TypeKind::enumeration;
    default:
      return TypeKind::none;
  }
}

std::vector<std::uint32_t> split_path(std::string_view text) {
  std::vector<std::uint32_t> path;
  while (!text.empty()) {
    std::uint32_t number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (parsed.ec != std::errc()) return {};
    path.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
    if (!text.empty()) text.remove_prefix(1);
  }
  return path;
}

/// The members that a path names; anonymous ones and array elements have no name.
void follow(const LocalTypes& types, std::uint32_t id, const std::vector<std::uint32_t>& path, Want& want) {
  for (std::size_t step = 1; step < path.size(); ++step) {
    id = types.bare(id, true);
    const btf_type type = types.at(id);
    const std::uint32_t kind = BTF_INFO_KIND(type.info);
    if (kind == BTF_KIND_ARRAY) {
      id = types.word(id, 0);
      continue;
    }
    if ((kind != BTF_KIND_STRUCT && kind != BTF_KIND_UNION) || path[step] >= BTF_INFO_VLEN(type.info)) return;
    const std::string_view name = types.string(types.word(id, std::size_t{path[step]} * 3));
    if (!name.empty()) want.path.emplace_back(name);
    id = types.word(id, std::size_t{path[step]} * 3 + 1);
  }
}

/// What one relocation wants; a root of kind none for what no kernel is asked for.
Want read_relocation(const LocalTypes& types, std::uint32_t type_id, std::string_view access, Relocation relocation) {
  Want want;
  const std::uint32_t id = types.bare(type_id, false);
  const btf_type type = types.at(id);
  want.kind = relocation == Relocation::type_id_local ? TypeKind::none : kind_of(BTF_INFO_KIND(type.info));
  want.root = essential_name(types.string(type.name_off));
  if (want.root.empty()) want.kind = TypeKind::none;
  const std::vector<std::uint32_t> path = split_path(access);
  if (relocation <= Relocation::field_last) {
    follow(types, id, path, want);
  } else if ((relocation == Relocation::value || relocation == Relocation::value_exists) && !path.empty()) {
    const std::size_t words = BTF_INFO_KIND(type.info) == kind_enum64 ? 3 : 2;
    if (path[0] < BTF_INFO_VLEN(type.info))
      want.path.emplace_back(essential_name(types.string(types.word(id, path[0] * words))));
  }
  return want;
}

/// Asked of a flavour NAME___before_RELEASE.
bool is_last_resort(const LocalTypes& types, std::uint32_t type_id) {
  return types.string(types.at(types.bare(type_id, false)).name_off).find("___before_") != std::string_view::npos;
}

struct Function {
  std::string name;
  std::uint64_t begin, end;
};

/// Functions by the section they are in.
std::map<std::string, std::vector<Function>> functions_of(const ElfFile& elf) {
  std::map<std::string, std::vector<Function>> found;
  for (const ElfFile::Section& table : elf.sections()) {
    if (table.type != SHT_SYMTAB || table.link >= elf.sections().size()) continue;
    const std::string_view names = as_text(elf.sections()[table.link].data);
    for (std::size_t at = 0; at + sizeof(Elf64_Sym) <= table.data.size(); at += sizeof(Elf64_Sym)) {
      const auto symbol = value_at<Elf64_Sym>(table.data, at);
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx >= elf.sections().size()) continue;
      if (symbol.st_name >= names.size()) continue;
      const std::string_view rest = names.substr(symbol.st_name);
      found[std::string(elf.sections()[symbol.st_shndx].name)].push_back(
          {std::string(rest.substr(0, rest.find('\0'))), symbol.st_value, symbol.st_value + symbol.st_size});
    }
  }
  return found;
}

/// What each function calls, by the relocations of its section: bpftool's linker leaves the calls to be resolved.
std::map<std::string, std::set<std::string>> calls_of(const ElfFile& elf,
                                                      const std::map<std::string, std::vector<Function>>& functions) {
  constexpr std::uint32_t call = 10;  // R_BPF_64_32
  const auto at = [&functions](std::string_view section, std::uint64_t offset) -> const Function* {
    const auto here = functions.find(std::string(section));
    if (here == functions.end()) return nullptr;
    for (const Function& function : here->second) {
      if (offset >= function.begin && offset < function.end) return &function;
    }
    return nullptr;
  };
  std::map<std::string, std::set<std::string>> calls;
  const auto& sections = elf.sections();
  for (const ElfFile::Section& table : sections) {
    if (table.type != SHT_REL || table.link >= sections.size()) continue;
    const std::string_view code = table.name.starts_with(".rel") ? table.name.substr(4) : std::string_view{};
    const ElfFile::Section* of = elf.find(code);
    if (of == nullptr) continue;
    for (std::size_t entry = 0; entry + sizeof(Elf64_Rel) <= table.data.size(); entry += sizeof(Elf64_Rel)) {
      const auto relocation = value_at<Elf64_Rel>(table.data, entry);
      if (ELF64_R_TYPE(relocation.r_info) != call) continue;
      const auto symbol =
          value_at<Elf64_Sym>(sections[table.link].data, ELF64_R_SYM(relocation.r_info) * sizeof(Elf64_Sym));
      if (symbol.st_shndx >= sections.size()) continue;
      // Of a section's symbol the instruction says where in it, in instructions after the next.
      std::uint64_t target = symbol.st_value;
      if (ELF64_ST_TYPE(symbol.st_info) == STT_SECTION)
        target = (static_cast<std::uint64_t>(value_at<std::int32_t>(of->data, relocation.r_offset + 4)) + 1) * 8;
      const Function* caller = at(code, relocation.r_offset);
      const Function* callee = at(sections[symbol.st_shndx].name, target);
      if (caller != nullptr && callee != nullptr) calls[caller->name].insert(callee->name);
    }
  }
  return calls;
}

/// Calls go no deeper than eight frames in BPF, so a few rounds reach everything.
void add_callees(std::map<std::string, std::set<Want>>& by_function,
                 const std::map<std::string, std::set<std::string>>& calls) {
  constexpr int deepest = 8;
  for (int round = 0; round < deepest; ++round) {
    for (const auto& [caller, callees] : calls) {
      for (const std::string& callee : callees) {
        if (callee == caller) continue;
        const auto wants = by_function.find(callee);
        if (wants != by_function.end()) by_function[caller].insert(wants->second.begin(), wants->second.end());
      }
    }
  }
}

}  // namespace

Result<WantedSet> wanted_of_object(Bytes bytes, WantedDetail detail) {
  const ElfFile elf = NIGHTJAR_TRY(ElfFile::open(bytes));
  const ElfFile::Section* btf = elf.find(".BTF");
  const ElfFile::Section* extension = elf.find(".BTF.ext");
  if (btf == nullptr || extension == nullptr)
    return corrupt("the object has no .BTF or no .BTF.ext: is it a BPF object?");
  const LocalTypes types = NIGHTJAR_TRY(LocalTypes::open(btf->data));
  const Bytes ext = extension->data;
  // struct btf_ext_header, which linux/btf.h lacks: magic, version, flags, hdr_len, then offset and length of the
  // function, line and relocation records.
  constexpr std::size_t with_relocations = 32;
  const auto header_size = value_at<std::uint32_t>(ext, 4);
  if (value_at<std::uint16_t>(ext, 0) != BTF_MAGIC) return corrupt(".BTF.ext has a wrong magic");
  if (header_size < with_relocations) return WantedSet{};  // made by a compiler without CO-RE
  const Bytes records = NIGHTJAR_TRY(part_of(ext, std::uint64_t{header_size} + value_at<std::uint32_t>(ext, 24),
                                             value_at<std::uint32_t>(ext, 28), "CO-RE relocations"));
  const bool is_by_function = detail == WantedDetail::by_function;
  const auto functions = is_by_function ? functions_of(elf) : std::map<std::string, std::vector<Function>>{};
  std::set<std::tuple<std::uint32_t, std::uint32_t, Relocation>> known;  // programs want the same again and again
  WantedSet wanted;
  std::set<Want> read, usual;
  if (records.empty()) return wanted;
  const auto record_size = value_at<std::uint32_t>(records, 0);
  if (record_size < 16) return corrupt("CO-RE relocations have an unknown size");
  for (std::uint64_t at = 4; at + 8 <= records.size();) {
    const std::string section(types.string(value_at<std::uint32_t>(records, at)));
    const auto count = value_at<std::uint32_t>(records, at + 4);
    at += 8;
    const Bytes block =
        NIGHTJAR_TRY(part_of(records, at, std::uint64_t{count} * record_size, "CO-RE relocations of " + section));
    at += block.size();
    for (std::uint64_t one = 0; one < block.size(); one += record_size) {
      const auto type = value_at<std::uint32_t>(block, one + 4), access = value_at<std::uint32_t>(block, one + 8);
      const auto relocation = static_cast<Relocation>(value_at<std::uint32_t>(block, one + 12));
      if (!known.emplace(type, access, relocation).second && !is_by_function) continue;
      Want want = read_relocation(types, type, types.string(access), relocation);
      if (want.kind == TypeKind::none) continue;
      const std::uint64_t instruction = value_at<std::uint32_t>(block, one);
      if (const auto here = functions.find(section); here != functions.end()) {
        for (const Function& function : here->second) {
          if (instruction >= function.begin && instruction < function.end)
            wanted.by_function[function.name].insert(want);
        }
      }
      const bool asked = relocation == Relocation::field_exists || relocation == Relocation::type_exists ||
                         relocation == Relocation::value_exists;
      (asked ? wanted.only_asked : read).insert(want);
      (is_last_resort(types, type) ? wanted.last_resort : usual).insert(want);
      wanted.all.insert(std::move(want));
    }
  }
  for (const Want& want : read) wanted.only_asked.erase(want);
  for (const Want& want : usual) wanted.last_resort.erase(want);
  if (is_by_function) add_callees(wanted.by_function, calls_of(elf, functions));
  return wanted;
}

}  // namespace nightjar::atlas
