// SPDX-License-Identifier: Apache-2.0
#include "old_maps.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include <elf.h>

#include <bpf/btf.h>
#include <linux/bpf.h>

#include "handle.hpp"
#include "libbpf_log.hpp"

namespace nightjar {
namespace {

/// type, key_size, value_size, max_entries; map_flags may be absent.
constexpr std::size_t least_definition = 4 * sizeof(std::uint32_t);
constexpr std::size_t whole_definition = 5 * sizeof(std::uint32_t);

/// As __uint() of bpf_helpers.h makes them: a member of 8 bytes for each number.
constexpr std::uint32_t member_size = 8;
constexpr std::uint32_t members_at_most = 5;
constexpr std::uint32_t new_definition = members_at_most * member_size;

constexpr std::size_t alignment = 8;

template <class T>
T read_at(std::span<const std::byte> bytes, std::size_t offset) {
  T value{};
  std::memcpy(&value, bytes.subspan(offset, sizeof(T)).data(), sizeof(T));
  return value;
}

template <class T>
void write_at(std::vector<std::byte>& bytes, std::size_t offset, const T& value) {
  std::memcpy(std::span(bytes).subspan(offset, sizeof(T)).data(), &value, sizeof(T));
}

Error failed(const char* what, int result) {
  return Error::from_errno(std::string("rewrite maps: ") + what, -result);
}

/// Types that describe the maps, added to an object's own or to none.
class Types {
 public:
  explicit Types(BtfHandle types) : types_(std::move(types)) {}

  Result<> add(const std::vector<OldMap>& maps) {
    retire_old_sections();
    // Only the number of elements of an array of these counts; one byte each, so that no size overflows.
    byte_ = ::btf__add_int(types_.get(), "unsigned char", 1, 0);
    if (byte_ < 0) return failed("type", byte_);
    std::vector<int> variables;
    for (const OldMap& map : maps) variables.push_back(NIGHTJAR_TRY(add_variable(map)));
    const auto size = static_cast<std::uint32_t>(maps.size()) * new_definition;
    if (const int section = ::btf__add_datasec(types_.get(), ".maps", size); section < 0) {
      return failed("section", section);
    }
    std::uint32_t offset = 0;
    for (const int variable : variables) {
      const int added = ::btf__add_datasec_var_info(types_.get(), variable, offset, new_definition);
      if (added < 0) return failed("variable's place", added);
      offset += new_definition;
    }
    return {};
  }

  Result<std::span<const std::byte>> bytes() const {
    std::uint32_t size = 0;
    const void* raw = ::btf__raw_data(types_.get(), &size);
    if (raw == nullptr) return Error::from_errno("rewrite maps: BTF");
    return std::span(static_cast<const std::byte*>(raw), size);
  }

 private:
  /// The old sections' descriptions would name variables that are elsewhere now, which the kernel refuses. A type
  /// cannot be taken out, for others are known by their number; a struct takes as many bytes.
  void retire_old_sections() {
    const auto count = static_cast<std::uint32_t>(::btf__type_cnt(types_.get()));
    for (std::uint32_t id = 1; id < count; ++id) {
      // Ours to change: libbpf offers no function that does.
      auto* type = const_cast<btf_type*>(::btf__type_by_id(types_.get(), id));  // NOLINT
      if (!::btf_is_datasec(type)) continue;
      if (const char* name = ::btf__name_by_offset(types_.get(), type->name_off);
          name == nullptr || !is_old_maps_section(name)) {
        continue;
      }
      std::uint32_t largest = 0;
      const auto vlen = ::btf_vlen(type);
      // Both have 12 bytes: type, offset, size become name, type, offset.
      const auto places = std::span(::btf_var_secinfos(type), vlen);
      const auto members = std::span(::btf_members(type), vlen);
      for (std::size_t index = 0; index < vlen; ++index) {
        const btf_type* variable = ::btf__type_by_id(types_.get(), places[index].type);
        const std::uint32_t of = variable != nullptr && ::btf_is_var(variable) ? variable->type : 0;
        largest = std::max(
            largest, static_cast<std::uint32_t>(std::max<std::int64_t>(::btf__resolve_size(types_.get(), of), 0)));
        members[index] = {.name_off = 0, .type = of, .offset = 0};
      }
      type->name_off = 0;
      type->info = (std::uint32_t{BTF_KIND_STRUCT} << 24) | vlen;
      type->size = largest;
    }
  }

  Result<int> add_variable(const OldMap& map) {
    struct Member {
      const char* name;
      std::uint32_t number;
      int type = 0;
    };
    std::vector<Member> members;
    for (const Member& member :
         {Member{"type", map.type}, Member{"key_size", map.key_size}, Member{"value_size", map.value_size},
          Member{"max_entries", map.max_entries}, Member{"map_flags", map.flags}}) {
      if (member.number != 0) members.push_back(member);
    }
    for (Member& member : members) {
      const int array = ::btf__add_array(types_.get(), byte_, byte_, member.number);
      if (array < 0) return failed("number", array);
      member.type = ::btf__add_ptr(types_.get(), array);
      if (member.type < 0) return failed("number", member.type);
    }
    const int definition = ::btf__add_struct(types_.get(), nullptr, new_definition);
    if (definition < 0) return failed("definition", definition);
    std::uint32_t offset = 0;
    for (const Member& member : members) {
      const int added = ::btf__add_field(types_.get(), member.name, member.type, offset * 8, 0);
      if (added < 0) return failed("member", added);
      offset += member_size;
    }
    const int variable = ::btf__add_var(types_.get(), map.name.c_str(), BTF_VAR_GLOBAL_ALLOCATED, definition);
    if (variable < 0) return failed("variable", variable);
    return variable;
  }

  BtfHandle types_;
  int byte_ = 0;
};

/// An ELF image that parts are added to, behind what it has.
class Image {
 public:
  static Result<Image> of(std::span<const std::byte> elf) {
    Image image;
    image.bytes_.assign(elf.begin(), elf.end());
    image.header_ = read_at<Elf64_Ehdr>(elf, 0);
    if (image.header_.e_shstrndx >= image.header_.e_shnum) return Error(errc::corrupt, "no names of sections");
    for (std::size_t index = 0; index < image.header_.e_shnum; ++index) {
      image.sections_.push_back(read_at<Elf64_Shdr>(elf, image.header_.e_shoff + index * sizeof(Elf64_Shdr)));
    }
    const std::span<const std::byte> names = image.data(image.header_.e_shstrndx);
    image.names_.assign(names.begin(), names.end());
    return image;
  }

  [[nodiscard]] std::span<const std::byte> data(std::size_t section) const {
    return std::span(bytes_).subspan(sections_[section].sh_offset, sections_[section].sh_size);
  }
  Elf64_Shdr& section(std::size_t index) { return sections_[index]; }
  std::vector<std::byte>& bytes() { return bytes_; }

  std::uint32_t add_name(std::string_view name) {
    const auto offset = static_cast<std::uint32_t>(names_.size());
    const auto text = std::as_bytes(std::span(name));
    names_.insert(names_.end(), text.begin(), text.end());
    names_.push_back(std::byte{0});
    return offset;
  }
  /// Returns its number.
  std::size_t add_section(std::string_view name, std::uint64_t flags) {
    Elf64_Shdr header{};
    header.sh_name = add_name(name);
    header.sh_type = SHT_PROGBITS;
    header.sh_flags = flags;
    header.sh_addralign = alignment;
    sections_.push_back(header);
    return sections_.size() - 1;
  }
  void put(std::size_t section, std::span<const std::byte> data) {
    sections_[section].sh_offset = append(data);
    sections_[section].sh_size = data.size();
  }

  Result<std::vector<std::byte>> finish() && {
    if (sections_.size() >= SHN_LORESERVE) return Error(errc::corrupt, "too many sections");
    put(header_.e_shstrndx, names_);
    header_.e_shoff = append(std::as_bytes(std::span(sections_)));
    header_.e_shnum = static_cast<std::uint16_t>(sections_.size());
    write_at(bytes_, 0, header_);
    return std::move(bytes_);
  }

 private:
  std::size_t append(std::span<const std::byte> data) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    const std::size_t offset = bytes_.size();
    bytes_.insert(bytes_.end(), data.begin(), data.end());
    return offset;
  }

  std::vector<std::byte> bytes_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Shdr> sections_;
  std::vector<std::byte> names_;
};

}  // namespace

bool is_old_maps_section(std::string_view name) {
  return name == "maps" || name.starts_with("maps/");
}

Result<OldMap> read_old_map(std::string name, std::span<const std::byte> definition) {
  const std::string what = "map " + name + ", defined as struct bpf_map_def, ";
  if (definition.size() < least_definition) {
    return Error(errc::corrupt, what + "has " + std::to_string(definition.size()) + " bytes, fewer than the struct's " +
                                    std::to_string(least_definition));
  }
  if (name.empty()) return Error(errc::corrupt, "a map defined as struct bpf_map_def has no name");
  const auto number = [&](std::size_t index) {
    const std::size_t offset = index * sizeof(std::uint32_t);
    return offset + sizeof(std::uint32_t) <= definition.size() ? read_at<std::uint32_t>(definition, offset) : 0;
  };
  OldMap map{.name = std::move(name),
             .type = number(0),
             .key_size = number(1),
             .value_size = number(2),
             .max_entries = number(3),
             .flags = number(4)};
  if (map.type == BPF_MAP_TYPE_UNSPEC) return Error(errc::corrupt, what + "has type 0, which is none");
  if (map.type == BPF_MAP_TYPE_ARRAY_OF_MAPS || map.type == BPF_MAP_TYPE_HASH_OF_MAPS) {
    return Error(errc::unsupported, what +
                                        "is a map of maps, and the struct does not say of which. Define it in SEC(\"."
                                        "maps\") with __array(values, ...), with clang -g");
  }
  const auto rest = definition.subspan(std::min(definition.size(), whole_definition));
  const auto asked = std::find_if(rest.begin(), rest.end(), [](std::byte byte) { return byte != std::byte{0}; });
  if (asked != rest.end()) {
    const auto at = whole_definition + static_cast<std::size_t>(asked - rest.begin());
    return Error(errc::unsupported,
                 what + "asks at byte " + std::to_string(at) +
                     " for more than a type, sizes, entries and flags (a pin, a namespace, an inner map), which each "
                     "loader read differently. Leave it 0; pin with Map::pin()");
  }
  return map;
}

Result<std::vector<std::byte>> rewrite_old_maps(std::span<const std::byte> elf, const OldMaps& old) {
  const LibbpfCapture quiet;
  Image image = NIGHTJAR_TRY(Image::of(elf));
  BtfHandle types;
  if (old.btf != 0) {
    const auto own = image.data(old.btf);
    types.reset(::btf__new(own.data(), static_cast<std::uint32_t>(own.size())));
  } else {
    types.reset(::btf__new_empty());
  }
  if (!types) return Error(errc::corrupt, "its BTF cannot be read", errno);
  Types described(std::move(types));
  NIGHTJAR_CHECK(described.add(old.maps));

  for (const std::size_t section : old.sections) image.section(section).sh_name = image.add_name(".old_maps");
  const std::size_t maps = image.add_section(".maps", SHF_ALLOC | SHF_WRITE);
  image.put(maps, std::vector<std::byte>(old.maps.size() * new_definition));
  const std::size_t btf = old.btf != 0 ? old.btf : image.add_section(".BTF", 0);
  image.put(btf, NIGHTJAR_TRY(described.bytes()));

  std::uint64_t place = 0;
  for (const OldMap& map : old.maps) {
    const std::size_t at = image.section(old.symtab).sh_offset + map.symbol * sizeof(Elf64_Sym);
    auto symbol = read_at<Elf64_Sym>(image.bytes(), at);
    symbol.st_shndx = static_cast<std::uint16_t>(maps);
    symbol.st_value = place;
    symbol.st_size = new_definition;
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
    write_at(image.bytes(), at, symbol);
    place += new_definition;
  }
  return std::move(image).finish();
}

}  // namespace nightjar
