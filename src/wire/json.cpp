// SPDX-License-Identifier: Apache-2.0
#include "wire/json.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace nightjar::json {
namespace {

constexpr std::array<bool, 256> make_plain() {
  std::array<bool, 256> plain{};
  for (unsigned c = 0x20; c < 0x7f; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}
constexpr auto plain = make_plain();

/// "00" to "99".
constexpr std::array<char, 200> make_pairs() {
  std::array<char, 200> all{};
  for (unsigned i = 0; i < 100; ++i) {
    all[2 * i] = static_cast<char>('0' + i / 10);
    all[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return all;
}
constexpr auto pairs = make_pairs();

/// Length of the valid UTF-8 sequence at the front of `s` (RFC 3629: no overlong forms, no surrogates), 0 if none.
std::size_t utf8_length(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const auto continues = [&](std::size_t i) { return i < s.size() && (byte(i) & 0xc0) == 0x80; };
  const unsigned lead = byte(0);
  if (lead >= 0xc2 && lead <= 0xdf) return continues(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (!continues(1) || !continues(2)) return 0;
    if (lead == 0xe0 && byte(1) < 0xa0) return 0;
    return lead == 0xed && byte(1) > 0x9f ? 0 : 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (lead == 0xf0 && byte(1) < 0x90) return 0;
    return lead == 0xf4 && byte(1) > 0x8f ? 0 : 4;
  }
  return 0;
}

void control(std::string& to, unsigned char c) {
  static constexpr char hex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      to += "\\\"";
      return;
    case '\\':
      to += "\\\\";
      return;
    case '\n':
      to += "\\n";
      return;
    case '\t':
      to += "\\t";
      return;
    case '\r':
      to += "\\r";
      return;
    default:
      break;
  }
  to += "\\u00";
  to += hex[c >> 4];
  to += hex[c & 15];
}

void append_utf8(std::string& to, unsigned code) {
  const auto byte = [&](unsigned value) { to += static_cast<char>(value); };
  if (code < 0x80) return byte(code);
  if (code < 0x800) {
    byte(0xc0 | code >> 6);
  } else {
    byte(0xe0 | code >> 12);
    byte(0x80 | (code >> 6 & 0x3f));
  }
  byte(0x80 | (code & 0x3f));
}

}  // namespace

bool string(std::string& to, std::string_view bytes) {
  bool exact = true;
  to += '"';
  while (!bytes.empty()) {
    const auto run = static_cast<std::size_t>(
        std::find_if(bytes.begin(), bytes.end(), [](char c) { return !plain[static_cast<unsigned char>(c)]; }) -
        bytes.begin());
    to.append(bytes.substr(0, run));
    bytes.remove_prefix(run);
    if (bytes.empty()) break;
    const auto c = static_cast<unsigned char>(bytes.front());
    std::size_t used = 1;
    if (c < 0x80) {
      control(to, c);
    } else if (const std::size_t length = utf8_length(bytes)) {
      to.append(bytes.substr(0, length));
      used = length;
    } else {
      to += "\xef\xbf\xbd";
      exact = false;
    }
    bytes.remove_prefix(used);
  }
  to += '"';
  return exact;
}

std::string unquoted(std::string_view value) {
  if (value.size() < 2 || value.front() != '"') return std::string(value);
  value = value.substr(1, value.size() - 2);
  std::string text;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] != '\\' || i + 1 == value.size()) {
      text += value[i];
      continue;
    }
    constexpr std::string_view letters = "bfnrt";
    constexpr std::string_view meanings = "\b\f\n\r\t";
    const char c = value[++i];
    if (const auto letter = letters.find(c); letter != std::string_view::npos) {
      text += meanings[letter];
    } else if (c == 'u' && i + 4 < value.size()) {
      unsigned code = 0;  // the encoder escapes control characters only: no surrogates
      std::from_chars(value.data() + i + 1, value.data() + i + 5, code, 16);
      append_utf8(text, code);
      i += 4;
    } else {
      text += c;
    }
  }
  return text;
}

void base64(std::string& to, std::string_view bytes) {
  static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U;
  };
  to += '"';
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const unsigned group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    to += alphabet[group >> 18];
    to += alphabet[group >> 12 & 63];
    to += i + 1 < bytes.size() ? alphabet[group >> 6 & 63] : '=';
    to += i + 2 < bytes.size() ? alphabet[group & 63] : '=';
  }
  to += '"';
}

std::string from_base64(std::string_view json) {
  std::string bytes;
  unsigned group = 0;
  unsigned bits = 0;
  for (const char c : json) {
    unsigned value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = static_cast<unsigned>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      value = static_cast<unsigned>(c - 'a') + 26;
    } else if (c >= '0' && c <= '9') {
      value = static_cast<unsigned>(c - '0') + 52;
    } else if (c == '+' || c == '/') {
      value = c == '+' ? 62 : 63;
    } else {
      continue;  // quotes, padding
    }
    group = (group << 6 | value) & 0xffffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(group >> bits & 0xff);
  }
  return bytes;
}

void timestamp(std::string& to, std::int64_t unix_ns) {
  constexpr std::int64_t second = 1'000'000'000;
  constexpr std::int64_t last = 253'402'300'799;  // 9999-12-31T23:59:59Z; int64 nanoseconds end in 2262 anyway
  unix_ns = std::max<std::int64_t>(unix_ns, 0);
  const std::int64_t seconds = std::min(unix_ns / second, last);
  // Civil date from days: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
  const std::int64_t days = seconds / 86400 + 719468;
  const std::int64_t era = days / 146097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146097);
  const unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted_month = (5 * day_of_year + 2) / 153;
  const unsigned day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  const unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  const auto year = static_cast<unsigned>(year_of_era + static_cast<unsigned>(era) * 400 + (month <= 2 ? 1 : 0));
  const auto of_day = static_cast<unsigned>(seconds % 86400);

  char text[] = "\"0000-00-00T00:00:00.000000000Z\"";
  const auto put_two = [&](unsigned at, unsigned value) { std::memcpy(&text[at], &pairs[2 * value], 2); };
  put_two(1, year / 100);
  put_two(3, year % 100);
  put_two(6, month);
  put_two(9, day);
  put_two(12, of_day / 3600);
  put_two(15, of_day / 60 % 60);
  put_two(18, of_day % 60);
  const auto ns = static_cast<unsigned>(unix_ns % second);
  text[21] = static_cast<char>('0' + ns / 100'000'000);
  put_two(22, ns / 1'000'000 % 100);
  put_two(24, ns / 10'000 % 100);
  put_two(26, ns / 100 % 100);
  put_two(28, ns % 100);
  to.append(text, sizeof text - 1);
}

std::int64_t milliseconds_of(std::string_view text) {
  constexpr std::string_view form = "\"0000-00-00T00:00:00.000000000Z\"";
  if (text.size() != form.size()) return -1;
  for (std::size_t i = 0; i < form.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (form[i] == '0' ? !digit : text[i] != form[i]) return -1;
  }
  const auto get = [&](std::size_t at, std::size_t width) {
    std::int64_t value = 0;
    for (std::size_t i = at; i < at + width; ++i) value = value * 10 + (text[i] - '0');
    return value;
  };
  // Days from a civil date, Hinnant again; years before 1970 are not written.
  const std::int64_t month = get(6, 2);
  const std::int64_t year = get(1, 4) - (month <= 2 ? 1 : 0);
  const std::int64_t year_of_era = year % 400;
  const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + get(9, 2) - 1;
  const std::int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  const std::int64_t days = year / 400 * 146097 + day_of_era - 719468;
  return ((days * 24 + get(12, 2)) * 60 + get(15, 2)) * 60'000 + get(18, 2) * 1000 + get(21, 3);
}

std::string nested_object(std::vector<Named> values) {
  std::sort(values.begin(), values.end(), [](const Named& a, const Named& b) { return a.first < b.first; });
  const auto same = [](const Named& a, const Named& b) { return a.first == b.first; };
  values.erase(std::unique(values.begin(), values.end(), same), values.end());
  std::string out = "{";
  std::vector<std::string_view> open;
  const auto comma = [&] {
    if (out.back() != '{') out += ',';
  };
  for (const auto& [name, value] : values) {
    std::vector<std::string_view> parts;
    for (std::string_view rest = name;;) {
      const auto dot = rest.find('.');
      parts.push_back(rest.substr(0, dot));
      if (dot == std::string_view::npos) break;
      rest.remove_prefix(dot + 1);
    }
    std::size_t common = 0;
    while (common < open.size() && common + 1 < parts.size() && open[common] == parts[common]) ++common;
    out.append(open.size() - common, '}');
    open.resize(common);
    for (; open.size() + 1 < parts.size(); open.push_back(parts[open.size()])) {
      comma();
      string(out, parts[open.size()]);
      out += ":{";
    }
    comma();
    string(out, parts.back());
    out += ':';
    out += value;
  }
  out.append(open.size() + 1, '}');
  return out;
}

}  // namespace nightjar::json
