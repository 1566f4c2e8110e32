// SPDX-License-Identifier: Apache-2.0
#include "wire/community_id.hpp"

#include <algorithm>
#include <cstring>
#include <tuple>
#include <vector>

#include "wire/json.hpp"
#include "wire/sha1.hpp"

namespace nightjar {
namespace {

using Address = std::span<const std::uint8_t>;

/// The bytes as they are on the wire: 4 of an IPv4 address, else 16.
Address wire_bytes(std::span<const std::uint8_t, 16> address) {
  static constexpr std::uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const bool is_v4 = std::memcmp(address.data(), mapped, sizeof mapped) == 0;
  return is_v4 ? Address(address).subspan(sizeof mapped) : Address(address);
}

}  // namespace

std::string community_id(const Flow& flow) {
  Address low = wire_bytes(flow.source), high = wire_bytes(flow.destination);
  std::uint32_t low_port = flow.source_port, high_port = flow.destination_port;
  const bool in_order = std::lexicographical_compare(low.begin(), low.end(), high.begin(), high.end()) ||
                        (std::equal(low.begin(), low.end(), high.begin(), high.end()) && low_port <= high_port);
  if (!in_order) {
    std::swap(low, high);
    std::swap(low_port, high_port);
  }
  std::vector<std::uint8_t> message = {0, 0};  // the seed
  message.insert(message.end(), low.begin(), low.end());
  message.insert(message.end(), high.begin(), high.end());
  message.push_back(flow.protocol);
  message.push_back(0);
  for (const std::uint32_t port : {low_port, high_port}) {
    message.push_back(static_cast<std::uint8_t>(port >> 8));
    message.push_back(static_cast<std::uint8_t>(port));
  }
  const auto digest = sha1(message);
  std::string text;
  json::base64(text, {reinterpret_cast<const char*>(digest.data()), digest.size()});
  return text.insert(1, "1:");  // behind the quote
}

}  // namespace nightjar
