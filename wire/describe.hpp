// SPDX-License-Identifier: Apache-2.0
// The language in which wire structs are described, once, directly under the struct (see wire/process.h). The compiler
// checks that a description names every byte of its struct in order; encoder, filters and documents read these tables.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

struct wire_slice;

namespace nightjar::wire {

struct NamedBit {
  std::uint64_t bit;
  std::string_view name;
};

/// How a member reads in JSON.
enum class Shape : std::uint8_t {
  hidden,       ///< not shown: used by the agent itself
  padding,      ///< no meaning
  number,       ///< JSON number
  keyword,      ///< a number that ECS makes a string (ids)
  octal,        ///< file mode, "0644"
  device,       ///< kernel dev_t, "MAJOR:MINOR"
  epoch_ns,     ///< nanoseconds since 1970, RFC 3339
  names,        ///< bits as an array of names
  name,         ///< a number that stands for one name; one that is in no table is shown as "N"
  ip,           ///< 16 bytes, IPv4 as v4-mapped
  error_name,   ///< errno as a name, "ENOENT"
  signal_name,  ///< signal as a name, "SIGKILL"
  text,         ///< bytes of a slice or a char array
  path,         ///< slice of NUL-ended path components, leaf first
  inlined,      ///< a nested described struct
};

inline constexpr std::uint64_t never = ~0ULL - 1;  ///< `absent` that no value has

struct as {
  Shape shape;
  std::span<const NamedBit> bits{};
  /// The value that means "not there": the field is then left out. 0 of an address: 0.0.0.0 and ::.
  std::uint64_t absent = never;

  static const as hidden, padding, number, keyword, octal, device, epoch_ns, error_name, signal_name, text, path, ip,
      inlined;
  static consteval as names(std::span<const NamedBit> bits) { return {Shape::names, bits}; }
  static consteval as name(std::span<const NamedBit> values) { return {Shape::name, values}; }
  [[nodiscard]] consteval as unless(std::uint64_t value) const { return {shape, bits, value}; }
};
inline constexpr as as::hidden{Shape::hidden};
inline constexpr as as::padding{Shape::padding};
inline constexpr as as::number{Shape::number};
inline constexpr as as::keyword{Shape::keyword};
inline constexpr as as::octal{Shape::octal};
inline constexpr as as::device{Shape::device};
inline constexpr as as::epoch_ns{Shape::epoch_ns};
inline constexpr as as::error_name{Shape::error_name};
inline constexpr as as::signal_name{Shape::signal_name};
inline constexpr as as::text{Shape::text};
inline constexpr as as::path{Shape::path};
inline constexpr as as::ip{Shape::ip};
inline constexpr as as::inlined{Shape::inlined};

enum class Storage : std::uint8_t { u8, u16, u32, u64, s32, s64, chars, slice, record, bytes };

struct Field {
  std::string_view member;  ///< the C member
  std::string_view name;    ///< dotted name in the output; empty for hidden, padding and inlined members
  std::uint32_t offset, size;
  Storage store;
  as show;
  std::string_view doc;
  std::span<const Field> inner;  ///< of an inlined struct
};

template <class T>
struct Schema;  // specialised by WIRE_SCHEMA

template <class M>
consteval Storage storage_of() {
  if constexpr (std::is_same_v<M, wire_slice>) {
    return Storage::slice;
  } else if constexpr (std::is_array_v<M>) {
    return std::is_same_v<std::remove_extent_t<M>, char> ? Storage::chars : Storage::bytes;
  } else if constexpr (std::is_class_v<M>) {
    return Storage::record;
  } else if constexpr (std::is_signed_v<M>) {
    return sizeof(M) == 4 ? Storage::s32 : Storage::s64;
  } else {
    return sizeof(M) == 1 ? Storage::u8 : sizeof(M) == 2 ? Storage::u16 : sizeof(M) == 4 ? Storage::u32 : Storage::u64;
  }
}

template <class M>
consteval Field make_field(std::string_view member, std::size_t offset, std::string_view name, as show,
                           std::string_view doc) {
  Field field{
      member, name, static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(sizeof(M)), storage_of<M>(), show,
      doc,    {}};
  if constexpr (storage_of<M>() == Storage::record) field.inner = Schema<M>::fields;
  return field;
}

/// Every byte of T is named by exactly one field, in order.
template <class T>
consteval bool covers(std::span<const Field> fields) {
  std::size_t at = 0;
  for (const Field& field : fields) {
    if (field.offset != at) return false;
    at += field.size;
  }
  return at == sizeof(T);
}

}  // namespace nightjar::wire

// FIELD(member, "dotted.name", as::shape, "What it means.")   HIDDEN(member)   PADDING(member)   INLINED(member)
#define FIELD(member, name, show, doc) \
  ::nightjar::wire::make_field<decltype(self::member)>(#member, offsetof(self, member), name, show, doc)
#define HIDDEN(member) FIELD(member, "", as::hidden, "")
#define PADDING(member) FIELD(member, "", as::padding, "")
#define INLINED(member) FIELD(member, "", as::inlined, "")

#define WIRE_SCHEMA(type, ...)                                                                 \
  template <>                                                                                  \
  struct nightjar::wire::Schema<type> {                                                        \
    using self = type;                                                                         \
    static constexpr std::string_view name = #type;                                            \
    static constexpr auto fields = std::to_array<Field>({__VA_ARGS__});                        \
    static_assert(std::is_standard_layout_v<type> && std::is_trivial_v<type>);                 \
    static_assert(covers<type>(fields), #type ": a member is not described, or not in order"); \
  }
