// SPDX-License-Identifier: Apache-2.0
// Reading bytes from outside, and writing our own: every read is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "nightjar/result.hpp"

namespace nightjar::atlas {

using Bytes = std::span<const std::byte>;

inline Error corrupt(std::string what) {
  return {errc::corrupt, std::move(what)};
}

inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// The value at `offset`, in this machine's byte order; zero when it is not all there (for callers that checked).
template <class T>
T value_at(Bytes bytes, std::size_t offset) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value{};
  if (offset <= bytes.size() && sizeof(T) <= bytes.size() - offset)
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

/// The part of `bytes`, or nothing when it is not all there.
inline Result<Bytes> part_of(Bytes bytes, std::uint64_t offset, std::uint64_t size, std::string_view what) {
  if (offset > bytes.size() || size > bytes.size() - offset) return corrupt(std::string(what) + " is cut off");
  return bytes.subspan(offset, size);
}

/// Reads front to back. The first read beyond the end makes it fail for good: then values are zero, and ok() tells.
class Cursor {
 public:
  explicit Cursor(Bytes bytes) : rest_(bytes) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool done() const { return rest_.empty(); }

  std::uint8_t byte() {
    const Bytes one = bytes(1);
    return one.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(one.front());
  }
  Bytes bytes(std::uint64_t count) {
    if (count > rest_.size()) {
      fail();
      return {};
    }
    const Bytes taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  /// Seven bits a byte, least first.
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t next = byte();
      value |= std::uint64_t{next & 0x7fU} << shift;
      if ((next & 0x80U) == 0) return value;
    }
    fail();
    return 0;
  }
  /// A number that counts things of at least one byte each that follow: never more than there are bytes.
  std::size_t count() {
    const std::uint64_t value = number();
    if (value > rest_.size()) fail();
    return ok_ ? static_cast<std::size_t>(value) : 0;
  }
  std::uint32_t number32() {
    const std::uint64_t value = number();
    if (value > UINT32_MAX) fail();
    return ok_ ? static_cast<std::uint32_t>(value) : 0;
  }
  std::int64_t signed_number() {
    const std::uint64_t value = number();
    return static_cast<std::int64_t>(value >> 1U) ^ -static_cast<std::int64_t>(value & 1U);
  }
  std::string_view text() { return as_text(bytes(number())); }

 private:
  void fail() {
    ok_ = false;
    rest_ = {};
  }
  Bytes rest_;
  bool ok_ = true;
};

/// Appends to a string what Cursor reads.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  Writer& byte(std::uint8_t value) {
    out_.push_back(static_cast<char>(value));
    return *this;
  }
  Writer& number(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) byte(static_cast<std::uint8_t>(value | 0x80U));
    return byte(static_cast<std::uint8_t>(value));
  }
  Writer& signed_number(std::int64_t value) {
    return number((static_cast<std::uint64_t>(value) << 1U) ^ static_cast<std::uint64_t>(value >> 63));
  }
  Writer& text(std::string_view value) {
    number(value.size());
    out_.append(value);
    return *this;
  }
  template <class T>
  Writer& raw(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    out_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }

 private:
  std::string& out_;
};

}  // namespace nightjar::atlas
