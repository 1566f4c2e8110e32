// SPDX-License-Identifier: Apache-2.0
#include "atlas/btf_reader.hpp"

#include <algorithm>

#include <linux/btf.h>

namespace nightjar::atlas {
namespace {

constexpr std::uint32_t kind_enum64 = 19;
constexpr std::uint32_t last_kind = kind_enum64;
/// How deep types lie in each other; the kernel's reach about twenty.
constexpr int deepest = 100;
constexpr TypeId in_progress = UINT32_MAX;

std::size_t tail_size(std::uint32_t kind, std::size_t count) {
  switch (kind) {
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG:
      return 4;
    case BTF_KIND_ARRAY:
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
    case BTF_KIND_DATASEC:
    case kind_enum64:
      return 12 * (kind == BTF_KIND_ARRAY ? 1 : count);
    case BTF_KIND_ENUM:
    case BTF_KIND_FUNC_PROTO:
      return 8 * count;
    default:
      return 0;
  }
}

TypeKind kind_of_pointee(std::uint32_t kind) {
  switch (kind) {
    case BTF_KIND_STRUCT:
      return TypeKind::structure;
    case BTF_KIND_UNION:
      return TypeKind::onion;
    case BTF_KIND_ENUM:
    case kind_enum64:
      return TypeKind::enumeration;
    case BTF_KIND_INT:
      return TypeKind::integer;
    case BTF_KIND_TYPEDEF:
      return TypeKind::alias;
    case BTF_KIND_FUNC_PROTO:
      return TypeKind::function;
    default:
      return TypeKind::none;
  }
}

bool is_modifier(std::uint32_t kind) {
  return kind == BTF_KIND_CONST || kind == BTF_KIND_VOLATILE || kind == BTF_KIND_RESTRICT || kind == BTF_KIND_TYPE_TAG;
}

}  // namespace

Result<BtfView> BtfView::open(Bytes bytes, const BtfView* base) {
  if (bytes.size() < sizeof(btf_header)) return corrupt("BTF: shorter than its header");
  const auto header = value_at<btf_header>(bytes, 0);
  if (header.magic != BTF_MAGIC) return corrupt("BTF: wrong magic");
  if (header.version != BTF_VERSION) return corrupt("BTF: unknown version " + std::to_string(header.version));
  if (header.hdr_len < sizeof(header)) return corrupt("BTF: header of unknown size");
  BtfView view;
  view.base_ = base;
  view.bytes_ = bytes;
  const std::uint64_t body = header.hdr_len;
  view.types_ = NIGHTJAR_TRY(part_of(bytes, body + header.type_off, header.type_len, "BTF types"));
  view.strings_ = NIGHTJAR_TRY(part_of(bytes, body + header.str_off, header.str_len, "BTF strings"));
  if (view.strings_.empty() || view.strings_.back() != std::byte{0})
    return corrupt("BTF: the strings do not end with NUL");
  if (base == nullptr) view.offsets_.push_back(0);  // void
  for (std::size_t at = 0; at < view.types_.size();) {
    if (view.types_.size() - at < sizeof(btf_type)) return corrupt("BTF: the last type is cut off");
    const auto type = value_at<btf_type>(view.types_, at);
    const std::uint32_t kind = BTF_INFO_KIND(type.info);
    if (kind == 0 || kind > last_kind) return corrupt("BTF: type of unknown kind " + std::to_string(kind));
    const std::size_t size = sizeof(btf_type) + tail_size(kind, BTF_INFO_VLEN(type.info));
    if (size > view.types_.size() - at) return corrupt("BTF: the last type is cut off");
    view.offsets_.push_back(static_cast<std::uint32_t>(at));
    at += size;
  }
  return view;
}

/// One reading of a BtfView into a pool.
class BtfConverter {
 public:
  BtfConverter(const BtfView& view, TypePool& pool)
      : view_(view),
        pool_(pool),
        base_count_(view.base_ != nullptr ? view.base_->offsets_.size() : 0),
        base_strings_(view.base_ != nullptr ? view.base_->strings_.size() : 0),
        converted_(base_count_ + view.offsets_.size(), 0) {}

  Result<Layout> convert_all(const TypeNames* only) {
    Layout layout;
    for (std::uint32_t id = base_count_ != 0 ? static_cast<std::uint32_t>(base_count_) : 1; id < converted_.size();
         ++id) {
      const Raw raw = NIGHTJAR_TRY(raw_at(id));
      const bool named = raw.kind == BTF_KIND_STRUCT || raw.kind == BTF_KIND_UNION || raw.kind == BTF_KIND_TYPEDEF ||
                         raw.kind == BTF_KIND_ENUM || raw.kind == kind_enum64;
      if (!named || raw.name.empty()) continue;
      if (only != nullptr && !only->contains(essential_name(raw.name))) continue;
      if (raw.kind == BTF_KIND_ENUM || raw.kind == kind_enum64) {
        layout.push_back(pool_.add(NIGHTJAR_TRY(enumeration(raw, true))));
      } else {
        layout.push_back(NIGHTJAR_TRY(convert(id, 0)));
      }
    }
    std::sort(layout.begin(), layout.end());
    layout.erase(std::unique(layout.begin(), layout.end()), layout.end());
    return layout;
  }

 private:
  struct Raw {
    std::uint32_t kind = 0, count = 0;
    bool flag = false;
    std::uint32_t size_or_type = 0;
    std::string_view name;
    Bytes tail;

    [[nodiscard]] std::uint32_t word(std::size_t index) const { return value_at<std::uint32_t>(tail, index * 4); }
  };

  Result<std::string_view> name_at(std::uint32_t offset) const {
    const bool in_base = offset < base_strings_;
    const Bytes strings = in_base ? view_.base_->strings_ : view_.strings_;
    const std::size_t at = in_base ? offset : offset - base_strings_;
    if (at >= strings.size()) return corrupt("BTF: a name is outside of the strings");
    const std::string_view rest = as_text(strings).substr(at);
    return rest.substr(0, rest.find('\0'));
  }

  Result<Raw> raw_at(std::uint32_t id) const {
    const bool in_base = id < base_count_;
    const BtfView& view = in_base ? *view_.base_ : view_;
    const std::size_t index = in_base ? id : id - base_count_;
    if (index >= view.offsets_.size() || id == 0)
      return corrupt("BTF: type " + std::to_string(id) + " is referred to and is not there");
    const std::size_t at = view.offsets_[index];
    const auto type = value_at<btf_type>(view.types_, at);
    Raw raw;
    raw.kind = BTF_INFO_KIND(type.info);
    raw.count = BTF_INFO_VLEN(type.info);
    raw.flag = BTF_INFO_KFLAG(type.info);
    raw.size_or_type = type.size;
    raw.name = NIGHTJAR_TRY(name_at(type.name_off));
    raw.tail = view.types_.subspan(at + sizeof(btf_type), tail_size(raw.kind, raw.count));
    return raw;
  }

  Result<TypeId> convert(std::uint32_t id, int depth) {
    if (id == 0) return TypeId{0};
    if (id >= converted_.size()) return corrupt("BTF: type " + std::to_string(id) + " is referred to and is not there");
    if (converted_[id] == in_progress || depth > deepest)
      return corrupt("BTF: type " + std::to_string(id) + " lies inside of itself");
    if (converted_[id] != 0) return converted_[id];
    converted_[id] = in_progress;
    const Raw raw = NIGHTJAR_TRY(raw_at(id));
    TypeId done = 0;
    if (is_modifier(raw.kind)) {
      done = NIGHTJAR_TRY(convert(raw.size_or_type, depth + 1));
    } else {
      done = pool_.add(NIGHTJAR_TRY(type_of(raw, depth)));
    }
    converted_[id] = done;
    return done;
  }

  Result<Type> type_of(const Raw& raw, int depth) {
    Type type;
    type.name = raw.name;
    switch (raw.kind) {
      case BTF_KIND_INT: {
        const std::uint32_t word = raw.word(0);
        type.kind = TypeKind::integer;
        type.size = raw.size_or_type;
        type.detail = BTF_INT_BITS(word) << 8U | BTF_INT_ENCODING(word);
        return type;
      }
      case BTF_KIND_FLOAT:
        type.kind = TypeKind::floating;
        type.size = raw.size_or_type;
        return type;
      case BTF_KIND_PTR:
        return pointer(raw, depth);
      case BTF_KIND_ARRAY:
        type.kind = TypeKind::array;
        type.target = NIGHTJAR_TRY(convert(raw.word(0), depth + 1));
        type.count = raw.word(2);
        return type;
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION:
        return record(raw, depth);
      case BTF_KIND_ENUM:
      case kind_enum64:
        return enumeration(raw, raw.name.empty());
      case BTF_KIND_TYPEDEF:
        type.kind = TypeKind::alias;
        type.target = NIGHTJAR_TRY(convert(raw.size_or_type, depth + 1));
        return type;
      case BTF_KIND_FWD:
        type.kind = TypeKind::forward;
        type.detail = raw.flag ? 1 : 0;
        return type;
      case BTF_KIND_FUNC_PROTO:
        return function(raw, depth);
      default:
        return corrupt("BTF: a type of kind " + std::to_string(raw.kind) + " where a value's type should be");
    }
  }

  Result<Type> pointer(const Raw& raw, int depth) {
    Type type;
    type.kind = TypeKind::pointer;
    std::uint32_t to = raw.size_or_type;
    for (int step = 0; to != 0; ++step) {
      if (step > deepest) return corrupt("BTF: modifiers go in a circle");
      const Raw pointee = NIGHTJAR_TRY(raw_at(to));
      if (is_modifier(pointee.kind)) {
        to = pointee.size_or_type;
        continue;
      }
      type.name = pointee.name;
      type.detail = static_cast<std::uint32_t>(kind_of_pointee(pointee.kind));
      if (pointee.kind == BTF_KIND_FWD)
        type.detail = static_cast<std::uint32_t>(pointee.flag ? TypeKind::onion : TypeKind::structure);
      // A tracepoint's prototype is the type of a pointer: the one thing worth knowing behind one.
      if (pointee.kind == BTF_KIND_FUNC_PROTO && depth == 1) type.target = NIGHTJAR_TRY(convert(to, depth + 1));
      break;
    }
    return type;
  }

  Result<Type> record(const Raw& raw, int depth) {
    Type type;
    type.kind = raw.kind == BTF_KIND_STRUCT ? TypeKind::structure : TypeKind::onion;
    type.name = raw.name;
    type.size = raw.size_or_type;
    type.members.reserve(raw.count);
    for (std::uint32_t index = 0; index < raw.count; ++index) {
      Member& member = type.members.emplace_back();
      member.name = NIGHTJAR_TRY(name_at(raw.word(index * 3)));
      member.type = NIGHTJAR_TRY(convert(raw.word(index * 3 + 1), depth + 2));
      const std::uint32_t offset = raw.word(index * 3 + 2);
      member.bit_offset = raw.flag ? BTF_MEMBER_BIT_OFFSET(offset) : offset;
      member.bit_size = raw.flag ? static_cast<std::uint8_t>(BTF_MEMBER_BITFIELD_SIZE(offset)) : std::uint8_t{0};
    }
    return type;
  }

  Result<Type> enumeration(const Raw& raw, bool with_values) const {
    Type type;
    type.kind = TypeKind::enumeration;
    type.name = raw.name;
    type.size = raw.size_or_type;
    type.detail = raw.flag ? 1 : 0;
    for (std::uint32_t index = 0; with_values && index < raw.count; ++index) {
      EnumValue& value = type.values.emplace_back();
      const bool wide = raw.kind == kind_enum64;
      const std::size_t at = index * (wide ? 3U : 2U);
      value.name = NIGHTJAR_TRY(name_at(raw.word(at)));
      if (wide) {
        value.value = static_cast<std::int64_t>(std::uint64_t{raw.word(at + 2)} << 32U | raw.word(at + 1));
      } else {
        value.value =
            raw.flag ? std::int64_t{static_cast<std::int32_t>(raw.word(at + 1))} : std::int64_t{raw.word(at + 1)};
      }
    }
    return type;
  }

  Result<Type> function(const Raw& raw, int depth) {
    Type type;
    type.kind = TypeKind::function;
    type.target = NIGHTJAR_TRY(convert(raw.size_or_type, depth + 2));
    for (std::uint32_t index = 0; index < raw.count; ++index) {
      Member& parameter = type.members.emplace_back();
      parameter.type = NIGHTJAR_TRY(convert(raw.word(index * 2 + 1), depth + 2));
    }
    return type;
  }

  const BtfView& view_;
  TypePool& pool_;
  std::size_t base_count_, base_strings_;
  std::vector<TypeId> converted_;
};

Result<Layout> BtfView::read(TypePool& pool, const TypeNames* only) const {
  return BtfConverter(*this, pool).convert_all(only);
}

}  // namespace nightjar::atlas
