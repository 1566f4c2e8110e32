// SPDX-License-Identifier: Apache-2.0
#include "agent/rpm_header.hpp"

#include <string>

namespace nightjar {
namespace {

// rpm's names and numbers (rpmtag.h).
constexpr std::uint32_t tag_name = 1000, tag_version = 1001, tag_release = 1002, tag_epoch = 1003, tag_arch = 1022,
                        tag_file_states = 1029, tag_dir_indexes = 1116, tag_base_names = 1117, tag_dir_names = 1118;
constexpr std::uint32_t type_char = 1, type_int32 = 4, type_string = 6, type_string_array = 8;
constexpr std::byte state_normal{0}, state_net_shared{3};

constexpr std::size_t entry_size = 16;
constexpr std::uint32_t most_entries = 0xffff;  // rpm's own limit

std::uint32_t big_endian(std::span<const std::byte> bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (const std::byte byte : bytes.subspan(at, 4)) value = value << 8U | std::to_integer<std::uint32_t>(byte);
  return value;
}

Error corrupt(const std::string& what) {
  return {errc::corrupt, "the header of an rpm package: " + what};
}

}  // namespace

Result<RpmHeader> RpmHeader::read(Bytes blob) {
  if (blob.size() < 8) return corrupt("cut off");
  const std::uint32_t entries = big_endian(blob, 0);
  const std::uint64_t size = big_endian(blob, 4);
  if (entries > most_entries || blob.size() != 8 + entries * entry_size + size) return corrupt("not of its own size");
  const Bytes rest = blob.subspan(8);
  return RpmHeader(rest.first(entries * entry_size), rest.subspan(entries * entry_size));
}

/// From the tag's first value to the end of all values; nullopt when there are fewer than `at_least` of that type.
std::optional<RpmHeader::Bytes> RpmHeader::values(std::uint32_t tag, std::uint32_t type, std::uint32_t at_least) const {
  for (Bytes entry = index_; !entry.empty(); entry = entry.subspan(entry_size)) {
    if (big_endian(entry, 0) != tag) continue;
    const std::uint32_t offset = big_endian(entry, 8);
    if (big_endian(entry, 4) != type || offset > data_.size() || big_endian(entry, 12) < at_least) return std::nullopt;
    return data_.subspan(offset);
  }
  return std::nullopt;
}

Result<std::string_view> RpmHeader::text(std::uint32_t tag, std::uint32_t type, std::uint32_t number) const {
  const auto found = number == UINT32_MAX ? std::nullopt : values(tag, type, number + 1);
  if (!found) return corrupt("no value " + std::to_string(number) + " of tag " + std::to_string(tag));
  std::string_view rest(reinterpret_cast<const char*>(found->data()), found->size());
  for (;; --number) {
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos) return corrupt("tag " + std::to_string(tag) + " is cut off");
    if (number == 0) return rest.substr(0, end);
    rest.remove_prefix(end + 1);
  }
}

std::optional<std::uint32_t> RpmHeader::number(std::uint32_t tag, std::uint32_t at) const {
  const auto found = at == UINT32_MAX ? std::nullopt : values(tag, type_int32, at + 1);
  if (!found || found->size() / 4 <= at) return std::nullopt;
  return big_endian(*found, std::size_t{at} * 4);
}

Result<Package> RpmHeader::package() const {
  const auto one = [&](std::uint32_t tag) { return text(tag, type_string, 0); };
  // Not within one expression: compilers forget what is half made when NIGHTJAR_TRY leaves it.
  Package package;
  package.type = "rpm";
  package.name = NIGHTJAR_TRY(one(tag_name));
  package.architecture = NIGHTJAR_TRY(one(tag_arch));
  if (const auto epoch = number(tag_epoch, 0)) package.version = std::to_string(*epoch) + ':';
  package.version += NIGHTJAR_TRY(one(tag_version));
  package.version += '-';
  package.version += NIGHTJAR_TRY(one(tag_release));
  return package;
}

Result<RpmHeader::File> RpmHeader::file(std::uint32_t number) const {
  File file;
  file.name = NIGHTJAR_TRY(text(tag_base_names, type_string_array, number));
  const auto folder = this->number(tag_dir_indexes, number);
  if (!folder) return corrupt("file " + std::to_string(number) + " is in no folder");
  file.folder = NIGHTJAR_TRY(text(tag_dir_names, type_string_array, *folder));
  const auto states = values(tag_file_states, type_char, number + 1);
  if (!states || states->size() <= number) return corrupt("file " + std::to_string(number) + " has no state");
  const std::byte state = (*states)[number];
  file.installed = state == state_normal || state == state_net_shared;
  return file;
}

}  // namespace nightjar
