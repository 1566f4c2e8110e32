// SPDX-License-Identifier: Apache-2.0
#include "atlas/types.hpp"

#include <algorithm>

namespace nightjar::atlas {

std::string_view to_string(TypeKind kind) {
  switch (kind) {
    case TypeKind::structure:
      return "struct";
    case TypeKind::onion:
      return "union";
    case TypeKind::enumeration:
      return "enum";
    case TypeKind::alias:
      return "typedef";
    case TypeKind::integer:
      return "int";
    case TypeKind::pointer:
      return "pointer";
    case TypeKind::array:
      return "array";
    case TypeKind::forward:
      return "forward";
    case TypeKind::floating:
      return "float";
    case TypeKind::function:
      return "function";
    case TypeKind::none:
      break;
  }
  return "";
}

void encode(const Type& type, std::string& out) {
  Writer write(out);
  write.byte(static_cast<std::uint8_t>(type.kind)).text(type.name).number(type.size).number(type.count);
  write.number(type.detail).number(type.target).number(type.members.size());
  std::uint32_t before = 0;
  for (const Member& member : type.members) {
    write.text(member.name).number(member.type);
    write.signed_number(std::int64_t{member.bit_offset} - before).byte(member.bit_size);
    before = member.bit_offset;
  }
  write.number(type.values.size());
  for (const EnumValue& value : type.values) write.text(value.name).signed_number(value.value);
}

Type decode(Cursor& in) {
  Type type;
  const std::uint8_t kind = in.byte();
  if (kind > static_cast<std::uint8_t>(TypeKind::function)) {
    in.bytes(UINT64_MAX);  // fails
    return type;
  }
  type.kind = static_cast<TypeKind>(kind);
  type.name = in.text();
  type.size = in.number32();
  type.count = in.number32();
  type.detail = in.number32();
  type.target = in.number32();
  std::int64_t before = 0;
  for (std::size_t left = in.count(); left > 0 && in.ok(); --left) {
    Member& member = type.members.emplace_back();
    member.name = in.text();
    member.type = in.number32();
    before += in.signed_number();
    if (before < 0 || before > INT64_C(0xffffffff)) in.bytes(UINT64_MAX);  // fails
    member.bit_offset = static_cast<std::uint32_t>(before);
    member.bit_size = in.byte();
  }
  for (std::size_t left = in.count(); left > 0 && in.ok(); --left) {
    EnumValue& value = type.values.emplace_back();
    value.name = in.text();
    value.value = in.signed_number();
  }
  return type;
}

std::vector<TypeId> references(const Type& type) {
  std::vector<TypeId> all;
  if (type.target != 0) all.push_back(type.target);
  for (const Member& member : type.members) {
    if (member.type != 0) all.push_back(member.type);
  }
  return all;
}

std::string_view essential_name(std::string_view name) {
  const std::size_t flavour = name.rfind("___");
  return flavour == std::string_view::npos || flavour == 0 ? name : name.substr(0, flavour);
}

TypePool::TypePool() {
  types_.emplace_back();
}

TypeId TypePool::add(const Type& type) {
  if (type.kind == TypeKind::none) return 0;
  std::string key;
  encode(type, key);
  const auto [found, is_new] = known_.try_emplace(std::move(key), static_cast<TypeId>(types_.size()));
  if (is_new) types_.push_back(type);
  return found->second;
}

TypeId TypePool::resolve(TypeId id) const {
  while (types_[id].kind == TypeKind::alias) id = types_[id].target;
  return id;
}

std::uint64_t TypePool::size_of(TypeId id) const {
  const Type& type = types_[resolve(id)];
  if (type.kind == TypeKind::pointer) return sizeof(void*);
  // Arrays of arrays of arrays may claim anything: the product is cut, not overflowed.
  if (type.kind == TypeKind::array) return std::min<std::uint64_t>(size_of(type.target), UINT32_MAX) * type.count;
  return type.size;
}

std::string TypePool::spell(TypeId id) const {
  const Type& type = types_[id];
  const auto pointee = static_cast<TypeKind>(type.detail);
  switch (type.kind) {
    case TypeKind::none:
      return "void";
    case TypeKind::structure:
    case TypeKind::onion:
    case TypeKind::enumeration:
      return std::string(to_string(type.kind)) + (type.name.empty() ? "" : " " + type.name);
    case TypeKind::forward:
      return (type.detail != 0 ? "union " : "struct ") + type.name;
    case TypeKind::array:
      return spell(type.target) + " [" + std::to_string(type.count) + "]";
    case TypeKind::pointer:
      if (type.name.empty()) return pointee == TypeKind::function ? "function *" : "void *";
      if (pointee == TypeKind::structure || pointee == TypeKind::onion || pointee == TypeKind::enumeration)
        return std::string(to_string(pointee)) + " " + type.name + " *";
      return type.name + " *";
    default:
      return type.name;
  }
}

TypeId Copier::copy(TypeId id) {
  if (id == 0) return 0;
  if (copied_[id] == 0)
    copied_[id] = to_.add(with_references(from_.at(id), [this](TypeId inner) { return copy(inner); }));
  return copied_[id];
}

Layout Copier::copy(const Layout& layout) {
  Layout copied;
  copied.reserve(layout.size());
  for (const TypeId id : layout) copied.push_back(copy(id));
  std::sort(copied.begin(), copied.end());
  copied.erase(std::unique(copied.begin(), copied.end()), copied.end());
  return copied;
}

}  // namespace nightjar::atlas
