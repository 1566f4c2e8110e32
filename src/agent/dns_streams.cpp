// SPDX-License-Identifier: Apache-2.0
#include "agent/dns_streams.hpp"

#include <algorithm>

namespace nightjar {
namespace {

// A resolver has a handful; what is forgotten only costs the rest of a connection that is in the middle of a message.
constexpr std::size_t directions_kept = 2048;
constexpr std::size_t bytes_kept = std::size_t{4} << 20;
constexpr std::size_t header_bytes = 12;  // RFC 1035 4.1.1: the shortest message
constexpr std::size_t length_bytes = 2;

std::size_t length_in(std::string_view held) {
  return static_cast<std::size_t>(static_cast<unsigned char>(held[0])) << 8 | static_cast<unsigned char>(held[1]);
}

}  // namespace

void DnsStreams::make_room() {
  while (directions_.size() >= directions_kept || held_bytes_ > bytes_kept) {
    const auto oldest = std::min_element(directions_.begin(), directions_.end(),
                                         [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    if (!oldest->second.held.empty()) ++malformed_;
    held_bytes_ -= oldest->second.held.size();
    directions_.erase(oldest);
  }
}

void DnsStreams::add(const Piece& piece, const std::function<void(std::string_view)>& tell,
                     const std::function<void()>& cut) {
  const std::pair key(piece.stream, piece.answer);
  if (held_bytes_ > bytes_kept || !directions_.contains(key)) make_room();
  Direction& direction = directions_[key];
  direction.used = ++pieces_;
  const std::uint64_t end = piece.offset + piece.size;
  if (direction.over || end <= direction.expected) return;
  const auto give_up = [&] {
    held_bytes_ -= direction.held.size();
    direction.held = {};
    direction.over = true;
  };
  if (piece.offset > direction.expected || piece.bytes.size() < piece.size) {
    give_up();
    return cut();
  }
  const std::string_view fresh = piece.bytes.substr(direction.expected - piece.offset);
  direction.expected = end;
  direction.held += fresh;
  held_bytes_ += fresh.size();

  std::string_view left = direction.held;
  while (left.size() >= length_bytes) {
    const std::size_t length = length_in(left);
    if (length < header_bytes) {
      ++malformed_;
      return give_up();
    }
    if (left.size() < length_bytes + length) break;
    tell(left.substr(length_bytes, length));
    left.remove_prefix(length_bytes + length);
  }
  held_bytes_ -= direction.held.size() - left.size();
  direction.held.erase(0, direction.held.size() - left.size());
}

}  // namespace nightjar
