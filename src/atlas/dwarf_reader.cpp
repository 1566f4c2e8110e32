// SPDX-License-Identifier: Apache-2.0
// DWARF through elfutils: the outermost types of each compilation unit, each once.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

#include <linux/btf.h>

#include "atlas/elf_file.hpp"
#include "atlas/kernel_image.hpp"

namespace nightjar::atlas {
namespace {

constexpr int deepest = 100;

std::optional<Dwarf_Word> number(Dwarf_Die* die, unsigned attribute) {
  Dwarf_Attribute found;
  Dwarf_Word value = 0;
  if (dwarf_attr_integrate(die, attribute, &found) == nullptr || dwarf_formudata(&found, &value) != 0)
    return std::nullopt;
  return value;
}

/// The forms of a fixed size do not say whether the value has a sign (DWARF 5, 7.5.5). Compilers take them for what is
/// not negative, and sdata else; libdw would extend the sign.
std::int64_t enumerator_value(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  if (dwarf_attr_integrate(die, DW_AT_const_value, &attribute) == nullptr) return 0;
  const unsigned form = dwarf_whatform(&attribute);
  Dwarf_Sword as_signed = 0;
  if (form == DW_FORM_sdata || form == DW_FORM_implicit_const) {
    (void)dwarf_formsdata(&attribute, &as_signed);
    return as_signed;
  }
  return static_cast<std::int64_t>(number(die, DW_AT_const_value).value_or(0));
}

std::string name_of(Dwarf_Die* die) {
  const char* name = dwarf_diename(die);
  return name == nullptr ? std::string() : std::string(name);
}

bool is_declaration(Dwarf_Die* die) {
  return dwarf_hasattr_integrate(die, DW_AT_declaration) != 0;
}

TypeKind kind_of(int tag) {
  switch (tag) {
    case DW_TAG_structure_type:
      return TypeKind::structure;
    case DW_TAG_union_type:
      return TypeKind::onion;
    case DW_TAG_enumeration_type:
      return TypeKind::enumeration;
    case DW_TAG_typedef:
      return TypeKind::alias;
    case DW_TAG_base_type:
      return TypeKind::integer;
    case DW_TAG_subroutine_type:
      return TypeKind::function;
    default:
      return TypeKind::none;
  }
}

bool is_modifier(int tag) {
  return tag == DW_TAG_const_type || tag == DW_TAG_volatile_type || tag == DW_TAG_restrict_type ||
         tag == DW_TAG_atomic_type;
}

class DwarfReader {
 public:
  DwarfReader(Dwarf* dwarf, TypePool& pool, const std::set<Want>* wanted) : dwarf_(dwarf), pool_(pool) {
    if (wanted == nullptr) return;
    for (const Want& want : *wanted) names_.insert(want.root);
  }

  Result<Layout> read() {
    Dwarf_CU* unit = nullptr;
    Dwarf_Die top;
    std::uint8_t kind = 0;
    std::size_t units = 0;
    while (dwarf_get_units(dwarf_, unit, &unit, nullptr, &kind, &top, nullptr) == 0) {
      ++units;
      if (kind == DW_UT_compile || kind == DW_UT_partial) NIGHTJAR_CHECK(read_unit(&top));
      converted_.clear();
    }
    if (units == 0) return Error(errc::not_found, "neither BTF nor DWARF in it");
    std::sort(layout_.begin(), layout_.end());
    layout_.erase(std::unique(layout_.begin(), layout_.end()), layout_.end());
    return std::move(layout_);
  }

 private:
  Result<> read_unit(Dwarf_Die* top) {
    Dwarf_Die die;
    if (dwarf_child(top, &die) != 0) return {};
    do {
      const TypeKind kind = kind_of(dwarf_tag(&die));
      if (kind == TypeKind::none || kind == TypeKind::integer || kind == TypeKind::function) continue;
      const char* name = dwarf_diename(&die);
      if (name == nullptr || is_declaration(&die)) continue;
      if (!names_.empty() && !names_.contains(std::string(essential_name(name)))) continue;
      if (!is_new(&die, kind, name)) continue;
      if (kind == TypeKind::enumeration) {
        layout_.push_back(pool_.add(NIGHTJAR_TRY(enumeration(&die, true))));
      } else {
        layout_.push_back(NIGHTJAR_TRY(convert(&die, 0)));
      }
    } while (dwarf_siblingof(&die, &die) == 0);
    return {};
  }

  /// The same type is in hundreds of units. Where it was declared and how large it is tells it apart well enough; what
  /// is converted twice is the same type in the pool anyway.
  bool is_new(Dwarf_Die* die, TypeKind kind, const char* name) {
    const std::uint64_t size = number(die, DW_AT_byte_size).value_or(0);
    const std::uint64_t line = number(die, DW_AT_decl_line).value_or(0);
    std::string key(1, static_cast<char>(kind));
    Writer(key).number(size).number(line);
    key += name;
    return seen_.insert(std::move(key)).second;
  }

  Result<TypeId> convert_target(Dwarf_Die* die, int depth) {
    Dwarf_Attribute attribute;
    Dwarf_Die target;
    if (dwarf_attr_integrate(die, DW_AT_type, &attribute) == nullptr) return TypeId{0};  // void
    if (dwarf_formref_die(&attribute, &target) == nullptr)
      return corrupt("DWARF: a type is referred to and is not there");
    return convert(&target, depth + 1);
  }

  Result<TypeId> convert(Dwarf_Die* die, int depth) {
    if (depth > deepest) return corrupt("DWARF: types lie inside of themselves");
    const Dwarf_Off offset = dwarf_dieoffset(die);
    if (const auto known = converted_.find(offset); known != converted_.end()) return known->second;
    const int tag = dwarf_tag(die);
    TypeId done = 0;
    if (is_modifier(tag)) {
      done = NIGHTJAR_TRY(convert_target(die, depth));
    } else if (tag == DW_TAG_array_type) {
      done = NIGHTJAR_TRY(array(die, depth));
    } else {
      done = pool_.add(NIGHTJAR_TRY(type_of(die, tag, depth)));
    }
    converted_.insert_or_assign(offset, done);
    return done;
  }

  Result<Type> type_of(Dwarf_Die* die, int tag, int depth) {
    Type type;
    type.name = name_of(die);
    type.size = static_cast<std::uint32_t>(number(die, DW_AT_byte_size).value_or(0));
    switch (tag) {
      case DW_TAG_base_type:
        return base(die, std::move(type));
      case DW_TAG_pointer_type:
        return pointer(die);
      case DW_TAG_structure_type:
      case DW_TAG_union_type:
      case DW_TAG_class_type:
        if (!is_declaration(die)) return record(die, std::move(type), depth);
        type.kind = TypeKind::forward;
        type.detail = tag == DW_TAG_union_type ? 1 : 0;
        return type;
      case DW_TAG_enumeration_type:
        return enumeration(die, type.name.empty());
      case DW_TAG_typedef:
        type.kind = TypeKind::alias;
        type.size = 0;
        type.target = NIGHTJAR_TRY(convert_target(die, depth));
        return type;
      case DW_TAG_subroutine_type:
        type.kind = TypeKind::function;
        return type;
      case DW_TAG_unspecified_type:
        return Type{};
      default:
        return corrupt("DWARF: a type of unknown tag " + std::to_string(tag));
    }
  }

  static Result<Type> base(Dwarf_Die* die, Type type) {
    const Dwarf_Word encoding = number(die, DW_AT_encoding).value_or(0);
    if (encoding == DW_ATE_float) {
      type.kind = TypeKind::floating;
      return type;
    }
    type.kind = TypeKind::integer;
    type.detail = type.size * 8 << 8U;
    if (encoding == DW_ATE_signed || encoding == DW_ATE_signed_char) type.detail |= BTF_INT_SIGNED;
    if (encoding == DW_ATE_boolean) type.detail |= BTF_INT_BOOL;
    return type;
  }

  static Result<Type> pointer(Dwarf_Die* die) {
    Type type;
    type.kind = TypeKind::pointer;
    Dwarf_Attribute attribute;
    Dwarf_Die target = *die;
    for (int step = 0; step < deepest; ++step) {
      if (dwarf_attr_integrate(&target, DW_AT_type, &attribute) == nullptr) return type;  // void
      if (dwarf_formref_die(&attribute, &target) == nullptr)
        return corrupt("DWARF: a type is referred to and is not there");
      const int tag = dwarf_tag(&target);
      if (is_modifier(tag)) continue;
      type.detail = static_cast<std::uint32_t>(kind_of(tag));
      type.name = name_of(&target);
      return type;
    }
    return corrupt("DWARF: modifiers go in a circle");
  }

  Result<TypeId> array(Dwarf_Die* die, int depth) {
    std::vector<std::uint32_t> counts;
    Dwarf_Die range;
    if (dwarf_child(die, &range) == 0) {
      do {
        if (dwarf_tag(&range) != DW_TAG_subrange_type) continue;
        const auto count = number(&range, DW_AT_count);
        const auto last = number(&range, DW_AT_upper_bound);
        counts.push_back(static_cast<std::uint32_t>(count ? *count : last ? *last + 1 : 0));
      } while (dwarf_siblingof(&range, &range) == 0);
    }
    if (counts.empty()) counts.push_back(0);
    TypeId element = NIGHTJAR_TRY(convert_target(die, depth));
    for (auto count = counts.rbegin(); count != counts.rend(); ++count) {
      Type type;
      type.kind = TypeKind::array;
      type.target = element;
      type.count = *count;
      element = pool_.add(type);
    }
    return element;
  }

  Result<Type> record(Dwarf_Die* die, Type type, int depth) {
    type.kind = dwarf_tag(die) == DW_TAG_union_type ? TypeKind::onion : TypeKind::structure;
    Dwarf_Die child;
    if (dwarf_child(die, &child) != 0) return type;
    do {
      if (dwarf_tag(&child) != DW_TAG_member) continue;
      Member member;
      member.name = name_of(&child);
      member.type = NIGHTJAR_TRY(convert_target(&child, depth));
      const Dwarf_Word bits = number(&child, DW_AT_bit_size).value_or(0);
      const Dwarf_Word at = number(&child, DW_AT_data_member_location).value_or(0);
      std::uint64_t offset = at * 8;
      if (bits != 0) {
        if (const auto bit = number(&child, DW_AT_data_bit_offset)) {
          offset = *bit;
        } else if (const auto from_top = number(&child, DW_AT_bit_offset)) {
          // DWARF 2 counts from the top of the storage unit.
          const Dwarf_Word unit = number(&child, DW_AT_byte_size).value_or(pool_.size_of(member.type));
          offset = at * 8 + unit * 8 - *from_top - bits;
        }
      }
      member.bit_offset = static_cast<std::uint32_t>(offset);
      member.bit_size = static_cast<std::uint8_t>(bits);
      type.members.push_back(std::move(member));
    } while (dwarf_siblingof(&child, &child) == 0);
    return type;
  }

  static Result<Type> enumeration(Dwarf_Die* die, bool with_values) {
    Type type;
    type.kind = TypeKind::enumeration;
    type.name = name_of(die);
    type.size = static_cast<std::uint32_t>(number(die, DW_AT_byte_size).value_or(0));
    Dwarf_Die child;
    if (!with_values || dwarf_child(die, &child) != 0) return type;
    do {
      if (dwarf_tag(&child) != DW_TAG_enumerator) continue;
      EnumValue value;
      value.name = name_of(&child);
      value.value = enumerator_value(&child);
      if (value.value < 0) type.detail = 1;
      type.values.push_back(std::move(value));
    } while (dwarf_siblingof(&child, &child) == 0);
    return type;
  }

  Dwarf* dwarf_;
  TypePool& pool_;
  std::set<std::string> names_;
  std::set<std::string> seen_;
  std::unordered_map<Dwarf_Off, TypeId> converted_;  ///< of the current unit
  Layout layout_;
};

struct EndElf {
  void operator()(Elf* elf) const { elf_end(elf); }
  void operator()(Dwarf* dwarf) const { dwarf_end(dwarf); }
};

}  // namespace

Result<Layout> read_dwarf(Bytes bytes, TypePool& pool, const std::set<Want>* wanted) {
  const ElfFile sections = NIGHTJAR_TRY(ElfFile::open(bytes));
  if (sections.find(".debug_info") == nullptr && sections.find(".zdebug_info") == nullptr)
    return Error(errc::not_found, "neither BTF nor DWARF in it");
  elf_version(EV_CURRENT);
  // libelf takes a char* and only reads from it.
  auto* data = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));  // NOLINT
  const std::unique_ptr<Elf, EndElf> elf(elf_memory(data, bytes.size()));
  if (!elf) return corrupt(std::string("ELF: ") + elf_errmsg(-1));
  const std::unique_ptr<Dwarf, EndElf> dwarf(dwarf_begin_elf(elf.get(), DWARF_C_READ, nullptr));
  if (!dwarf) return corrupt(std::string("DWARF: ") + dwarf_errmsg(-1));
  return DwarfReader(dwarf.get(), pool, wanted).read();
}

}  // namespace nightjar::atlas
