// SPDX-License-Identifier: Apache-2.0
// Kernel types as values. A type is stored once, whatever kernels have it; pointers are cut at the name of what they
// point to, so that a type holds only what lies inside of it.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "atlas/bytes.hpp"

namespace nightjar::atlas {

/// The number of a type in its pool. 0 is void.
using TypeId = std::uint32_t;

enum class TypeKind : std::uint8_t {
  none,  ///< void
  integer,
  pointer,
  array,
  structure,
  onion,  ///< union
  enumeration,
  alias,  ///< typedef
  forward,
  floating,
  function,
};

/// "struct", "union", ...; empty for none.
std::string_view to_string(TypeKind kind);

struct Member {
  std::string name;  ///< empty: anonymous struct or union
  TypeId type = 0;
  std::uint32_t bit_offset = 0;
  std::uint8_t bit_size = 0;  ///< of a bit field, else 0

  bool operator==(const Member&) const = default;
};

struct EnumValue {
  std::string name;
  std::int64_t value = 0;

  bool operator==(const EnumValue&) const = default;
};

struct Type {
  TypeKind kind = TypeKind::none;
  std::string name;         ///< a pointer's is that of what it points to
  std::uint32_t size = 0;   ///< bytes
  std::uint32_t count = 0;  ///< of an array
  /// Integer: bits << 8 | BTF encoding. Enumeration: 1 when signed. Pointer: TypeKind of what it points to.
  std::uint32_t detail = 0;
  TypeId target = 0;            ///< array: element; alias: what it names; function: result; pointer: only to a function
  std::vector<Member> members;  ///< function: parameters
  std::vector<EnumValue> values;  ///< empty for the enumeration that a member has: only its name and size matter there

  [[nodiscard]] bool is_record() const { return kind == TypeKind::structure || kind == TypeKind::onion; }
  bool operator==(const Type&) const = default;
};

/// Types, each once. Types refer to types added before them, so there are no circles.
class TypePool {
 public:
  TypePool();
  TypePool(TypePool&&) = default;
  TypePool& operator=(TypePool&&) = default;

  /// The id of that type; the types it refers to must be in the pool. The same type has the same id.
  TypeId add(const Type& type);
  [[nodiscard]] const Type& at(TypeId id) const { return types_[id]; }
  /// Including void.
  [[nodiscard]] std::size_t size() const { return types_.size(); }

  /// Through aliases.
  [[nodiscard]] TypeId resolve(TypeId id) const;
  /// Bytes that a value takes.
  [[nodiscard]] std::uint64_t size_of(TypeId id) const;
  /// As C would write it: "struct path", "unsigned int", "char [16]".
  [[nodiscard]] std::string spell(TypeId id) const;

 private:
  std::deque<Type> types_;
  std::unordered_map<std::string, TypeId> known_;  ///< by encoding
};

/// A type's bytes in a file, with the numbers of the types that it refers to.
void encode(const Type& type, std::string& out);
/// Fails on the cursor. References may be anything: the caller checks them.
Type decode(Cursor& in);

/// Every type that `type` refers to.
std::vector<TypeId> references(const Type& type);
/// The same type, with each reference changed.
template <class F>
Type with_references(Type type, F&& change) {
  if (type.target != 0) type.target = change(type.target);
  for (Member& member : type.members) {
    if (member.type != 0) member.type = change(member.type);
  }
  return type;
}

/// "task_struct___old" is a flavour of "task_struct".
std::string_view essential_name(std::string_view name);

/// The types with a name of one kernel: structs, unions, enumerations and typedefs, sorted by id.
using Layout = std::vector<TypeId>;

/// Copies types between pools.
class Copier {
 public:
  Copier(const TypePool& from, TypePool& to) : from_(from), to_(to), copied_(from.size(), 0) {}
  TypeId copy(TypeId id);
  Layout copy(const Layout& layout);

 private:
  const TypePool& from_;
  TypePool& to_;
  std::vector<TypeId> copied_;
};

}  // namespace nightjar::atlas
