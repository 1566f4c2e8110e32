// SPDX-License-Identifier: Apache-2.0
#include "wire/community_id.hpp"

#include <string_view>

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "wire/sha1.hpp"

namespace nightjar {
namespace {

std::array<std::uint8_t, 16> address(const char* text) {
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET6, text, bytes.data()) == 1) return bytes;
  bytes[10] = bytes[11] = 0xff;
  EXPECT_EQ(inet_pton(AF_INET, text, bytes.data() + 12), 1) << text;
  return bytes;
}

std::string id(const char* from, std::uint32_t from_port, const char* to, std::uint32_t to_port,
               std::uint8_t protocol) {
  const auto source = address(from), destination = address(to);
  return community_id({source, destination, from_port, to_port, protocol});
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// FIPS 180-4 examples, and RFC 3174 7.3.
TEST(Sha1, gives_the_standards_examples) {
  const auto digest = [](std::string_view text) {
    return hex(sha1({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
  };
  EXPECT_EQ(digest(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(digest("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(digest(std::string(1000000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

// The baseline of the specification (github.com/corelight/community-id-spec).
TEST(CommunityId, gives_the_specifications_examples) {
  EXPECT_EQ(id("128.232.110.120", 34855, "66.35.250.204", 80, 6), "\"1:LQU9qZlK+B5F3KDmev6m5PMibrg=\"");
  EXPECT_EQ(id("66.35.250.204", 80, "128.232.110.120", 34855, 6), "\"1:LQU9qZlK+B5F3KDmev6m5PMibrg=\"");
  EXPECT_EQ(id("192.168.1.52", 54585, "8.8.8.8", 53, 17), "\"1:d/FP5EW3wiY1vCndhwleRRKHowQ=\"");
  EXPECT_EQ(id("2607:f8b0:400c:c03::1a", 25, "2001:470:e5bf:dead:4957:2174:e82c:4887", 63943, 6),
            "\"1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=\"");
}

TEST(CommunityId, is_the_same_for_a_mapped_address_as_for_ipv4) {
  EXPECT_EQ(id("::ffff:192.168.1.52", 54585, "::ffff:8.8.8.8", 53, 17), id("192.168.1.52", 54585, "8.8.8.8", 53, 17));
}

}  // namespace
}  // namespace nightjar
