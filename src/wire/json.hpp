// SPDX-License-Identifier: Apache-2.0
// Writing JSON, and nothing else: no parsing, no allocation but the growth of the string written to.
#pragma once

#include <charconv>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nightjar::json {

/// 2^53: what lies above, JavaScript and others read inexactly. Events show it as a decimal string.
inline constexpr std::uint64_t largest_exact_number = 1ULL << 53;

template <class Integer>
void number(std::string& to, Integer value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  to.append(digits, end);
}

/// A number as a string of its digits.
template <class Integer>
void number_text(std::string& to, Integer value) {
  char digits[24];
  digits[0] = '"';
  char* const end = std::to_chars(digits + 1, digits + sizeof digits - 1, value).ptr;
  *end = '"';
  to.append(digits, end + 1);
}

/// A JSON string. Bytes that are not UTF-8 become U+FFFD, one each; false is returned then, and the caller keeps the
/// exact bytes beside it (base64).
bool string(std::string& to, std::string_view bytes);

inline std::string quoted(std::string_view text) {
  std::string out;
  string(out, text);
  return out;
}

/// The text of a JSON string that string() wrote; what is no string comes back as it is.
std::string unquoted(std::string_view json);

/// RFC 4648 base64 with padding, as a JSON string.
void base64(std::string& to, std::string_view bytes);
/// The bytes of which base64() wrote that string.
std::string from_base64(std::string_view json);

/// RFC 3339, UTC, nine decimals, as a JSON string. The years 1970 to 9999; what lies outside is shown as the nearest
/// end.
void timestamp(std::string& to, std::int64_t unix_ns);

/// The milliseconds since 1970 of what timestamp() wrote; -1 for anything else.
std::int64_t milliseconds_of(std::string_view timestamp);

/// A value for a dotted name, already JSON.
using Named = std::pair<std::string_view, std::string>;

/// {"a":{"b":1,"c":2}} from a.b=1, a.c=2. Of a name that repeats, one value is shown; none may be
/// another's prefix at a dot.
std::string nested_object(std::vector<Named> values);

}  // namespace nightjar::json
