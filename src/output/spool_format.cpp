// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include <zlib.h>

#include "output/spool.hpp"

namespace nightjar::spool_format {
namespace {

constexpr std::uint32_t magic = 0x31534a4e;  // "NJS1"
constexpr std::size_t line_entry_bytes = 5;

struct Header {
  std::uint32_t magic, payload, lines, reserved;
  std::uint64_t first;
};
static_assert(sizeof(Header) + sizeof(std::uint32_t) == header_bytes);

std::uint32_t checksum(std::string_view header, std::string_view payload) {
  const auto bytes = [](std::string_view text) { return reinterpret_cast<const Bytef*>(text.data()); };
  uLong sum = crc32(0, bytes(header), static_cast<uInt>(header.size()));
  sum = crc32(sum, bytes(payload), static_cast<uInt>(payload.size()));
  return static_cast<std::uint32_t>(sum);
}

template <class T>
T load(std::string_view bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// The record that begins the bytes.
std::optional<Found> read_here(std::string_view bytes) {
  if (bytes.size() < header_bytes) return std::nullopt;
  const auto header = load<Header>(bytes, 0);
  if (header.magic != magic || header.payload > bytes.size() - header_bytes) return std::nullopt;
  if (header.lines == 0 || header.lines > header.payload / line_entry_bytes) return std::nullopt;
  const std::string_view payload = bytes.substr(header_bytes, header.payload);
  if (load<std::uint32_t>(bytes, sizeof header) != checksum(bytes.substr(0, sizeof header), payload))
    return std::nullopt;
  Found found;
  found.first = header.first;
  found.end = header_bytes + header.payload;
  found.batch.text = payload.substr(header.lines * line_entry_bytes);
  std::uint32_t before = 0;
  for (std::size_t i = 0; i < header.lines; ++i) {
    const auto kind = static_cast<Kind>(load<std::uint8_t>(payload, i * line_entry_bytes));
    const auto end = load<std::uint32_t>(payload, i * line_entry_bytes + 1);
    // The checksum says that it is as written; that another build wrote other kinds is possible.
    if (end <= before || end > found.batch.text.size()) return std::nullopt;
    before = end;
    found.batch.lines.push_back({kind, end});
  }
  return before == found.batch.text.size() ? std::optional(std::move(found)) : std::nullopt;
}

}  // namespace

void write(std::string& to, const Batch& batch, std::uint64_t first) {
  const std::size_t begin = to.size();
  const std::size_t payload = batch.lines.size() * line_entry_bytes + batch.text.size();
  const Header header{magic, static_cast<std::uint32_t>(payload), static_cast<std::uint32_t>(batch.lines.size()), 0,
                      first};
  to.append(reinterpret_cast<const char*>(&header), sizeof header);
  to.append(sizeof(std::uint32_t), '\0');
  for (const Line& line : batch.lines) {
    to += static_cast<char>(line.kind);
    to.append(reinterpret_cast<const char*>(&line.end), sizeof line.end);
  }
  to += batch.text;
  const std::string_view record = std::string_view(to).substr(begin);
  const std::uint32_t sum = checksum(record.substr(0, sizeof header), record.substr(header_bytes));
  std::memcpy(to.data() + begin + sizeof header, &sum, sizeof sum);
}

std::optional<std::size_t> size_of(std::string_view header) {
  if (header.size() < header_bytes || load<std::uint32_t>(header, 0) != magic) return std::nullopt;
  return header_bytes + load<std::uint32_t>(header, sizeof magic);
}

std::uint64_t lines_of_torn(std::string_view bytes, std::uint64_t expected_first) {
  if (bytes.size() < sizeof(Header)) return 1;
  const auto header = load<Header>(bytes, 0);
  const bool sound =
      header.magic == magic && header.first == expected_first && header.lines <= header.payload / line_entry_bytes;
  return sound && header.lines != 0 ? header.lines : 1;
}

std::optional<Found> read(std::string_view bytes) {
  for (std::size_t begin = 0; begin + header_bytes <= bytes.size(); ++begin) {
    // To the next place that could be one.
    const auto* next = static_cast<const char*>(std::memchr(bytes.data() + begin, 'N', bytes.size() - begin));
    if (next == nullptr) break;
    begin = static_cast<std::size_t>(next - bytes.data());
    auto found = read_here(bytes.substr(begin));
    if (!found) continue;
    found->begin = begin;
    found->end += begin;
    return found;
  }
  return std::nullopt;
}

}  // namespace nightjar::spool_format
