// SPDX-License-Identifier: Apache-2.0
#include "atlas/btf_writer.hpp"

#include <map>
#include <optional>
#include <utility>

#include <linux/btf.h>

namespace nightjar::atlas {
namespace {

constexpr std::uint32_t kind_enum64 = 19;

class BtfWriter {
 public:
  BtfWriter(const TypePool& pool, const Layout& layout) : pool_(pool), layout_(layout), ids_(pool.size(), 0) {
    strings_.push_back('\0');
  }

  std::string write() {
    for (const TypeId id : layout_) {
      const Type& type = pool_.at(id);
      named_.try_emplace({type.kind, type.name}, id);
    }
    for (const TypeId id : layout_) emit(id);
    for (std::size_t next = 0; next < pending_.size(); ++next) fill_pointer(pending_[next]);
    btf_header header{};
    header.magic = BTF_MAGIC;
    header.version = BTF_VERSION;
    header.hdr_len = sizeof(header);
    header.type_len = static_cast<std::uint32_t>(types_.size());
    header.str_off = header.type_len;
    header.str_len = static_cast<std::uint32_t>(strings_.size());
    std::string out;
    Writer(out).raw(header);
    return out + types_ + strings_;
  }

 private:
  std::uint32_t name(const std::string& text) {
    if (text.empty()) return 0;
    const auto [found, is_new] = offsets_.try_emplace(text, static_cast<std::uint32_t>(strings_.size()));
    if (is_new) strings_.append(text).push_back('\0');
    return found->second;
  }

  std::uint32_t begin(const std::string& type_name, std::uint32_t kind, std::size_t count, bool flag,
                      std::uint32_t size_or_type) {
    btf_type head{};
    head.name_off = name(type_name);
    head.info = static_cast<std::uint32_t>(count & 0xffffU) | kind << 24U | (flag ? 1U << 31U : 0U);
    head.size = size_or_type;
    Writer(types_).raw(head);
    return ++last_;
  }
  void word(std::uint32_t value) { Writer(types_).raw(value); }

  /// What a member of an enumeration's type refers to: the enumeration itself where the layout has it.
  TypeId whole(TypeId id) const {
    const Type& type = pool_.at(id);
    if (type.kind != TypeKind::enumeration || type.name.empty() || !type.values.empty()) return id;
    const auto found = named_.find({type.kind, type.name});
    return found != named_.end() && pool_.at(found->second).size == type.size ? found->second : id;
  }

  /// Types inside first: then a type is written in one go.
  std::uint32_t emit(TypeId any) {
    if (any == 0) return 0;
    const TypeId id = whole(any);
    if (ids_[id] != 0) return ids_[id];
    const Type& type = pool_.at(id);
    for (const TypeId inner : references(type)) emit(inner);
    return ids_[id] = emit_one(id, type);
  }

  std::uint32_t emit_one(TypeId id, const Type& type) {
    std::uint32_t made = 0;
    switch (type.kind) {
      case TypeKind::integer:
        made = begin(type.name, BTF_KIND_INT, 0, false, type.size);
        word((type.detail & 0xffU) << 24U | type.detail >> 8U);
        break;
      case TypeKind::floating:
        return begin(type.name, BTF_KIND_FLOAT, 0, false, type.size);
      case TypeKind::pointer:
        made = begin({}, BTF_KIND_PTR, 0, false, type.target != 0 ? emit(type.target) : 0);
        if (type.target == 0 && !type.name.empty()) pending_.emplace_back(id, types_.size() - sizeof(std::uint32_t));
        break;
      case TypeKind::array:
        made = array(type);
        break;
      case TypeKind::structure:
      case TypeKind::onion:
        made = record(type);
        break;
      case TypeKind::enumeration:
        made = enumeration(type);
        break;
      case TypeKind::alias:
        return begin(type.name, BTF_KIND_TYPEDEF, 0, false, emit(type.target));
      case TypeKind::forward:
        return begin(type.name, BTF_KIND_FWD, 0, type.detail != 0, 0);
      case TypeKind::function:
        made = begin({}, BTF_KIND_FUNC_PROTO, type.members.size(), false, emit(type.target));
        for (const Member& parameter : type.members) {
          word(0);
          word(emit(parameter.type));
        }
        break;
      case TypeKind::none:
        break;
    }
    return made;
  }

  std::uint32_t array(const Type& type) {
    if (index_type_ == 0) {
      index_type_ = begin("__ARRAY_SIZE_TYPE__", BTF_KIND_INT, 0, false, 4);
      word(32);
    }
    const std::uint32_t element = emit(type.target);
    const std::uint32_t made = begin({}, BTF_KIND_ARRAY, 0, false, 0);
    word(element);
    word(index_type_);
    word(type.count);
    return made;
  }

  std::uint32_t record(const Type& type) {
    bool bit_fields = false;
    for (const Member& member : type.members) bit_fields |= member.bit_size != 0;
    const std::uint32_t made = begin(type.name, type.kind == TypeKind::structure ? BTF_KIND_STRUCT : BTF_KIND_UNION,
                                     type.members.size(), bit_fields, type.size);
    for (const Member& member : type.members) {
      word(name(member.name));
      word(emit(member.type));
      word(bit_fields ? std::uint32_t{member.bit_size} << 24U | (member.bit_offset & 0xffffffU) : member.bit_offset);
    }
    return made;
  }

  std::uint32_t enumeration(const Type& type) {
    bool wide = type.size > 4;
    for (const EnumValue& value : type.values) wide |= value.value < INT32_MIN || value.value > INT64_C(0xffffffff);
    const std::uint32_t made = begin(type.name, wide ? kind_enum64 : std::uint32_t{BTF_KIND_ENUM}, type.values.size(),
                                     type.detail != 0, type.size);
    for (const EnumValue& value : type.values) {
      const auto bits = static_cast<std::uint64_t>(value.value);
      word(name(value.name));
      word(static_cast<std::uint32_t>(bits));
      if (wide) word(static_cast<std::uint32_t>(bits >> 32U));
    }
    return made;
  }

  /// A pointer's target may be a type that comes later, or only a name.
  void fill_pointer(const std::pair<TypeId, std::size_t>& pointer) {
    const Type& type = pool_.at(pointer.first);
    const auto kind = static_cast<TypeKind>(type.detail);
    std::uint32_t to = 0;
    if (const auto found = named_.find({kind, type.name}); found != named_.end()) {
      to = emit(found->second);
    } else if (kind == TypeKind::structure || kind == TypeKind::onion) {
      std::uint32_t& known = forwards_[{kind, type.name}];
      if (known == 0) known = begin(type.name, BTF_KIND_FWD, 0, kind == TypeKind::onion, 0);
      to = known;
    }
    std::memcpy(types_.data() + pointer.second, &to, sizeof(to));
  }

  const TypePool& pool_;
  const Layout& layout_;
  std::string types_, strings_;
  std::map<std::string, std::uint32_t> offsets_;
  std::map<std::pair<TypeKind, std::string>, TypeId> named_;
  std::map<std::pair<TypeKind, std::string>, std::uint32_t> forwards_;
  std::vector<std::uint32_t> ids_;
  std::vector<std::pair<TypeId, std::size_t>> pending_;  ///< pointers, and where their targets are written
  std::uint32_t last_ = 0;
  std::uint32_t index_type_ = 0;
};

}  // namespace

std::string write_btf(const TypePool& pool, const Layout& layout) {
  return BtfWriter(pool, layout).write();
}

}  // namespace nightjar::atlas
