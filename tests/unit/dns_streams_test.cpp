// SPDX-License-Identifier: Apache-2.0
#include "agent/dns_streams.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace nightjar {
namespace {

std::string framed(const std::string& message) {
  return std::string{static_cast<char>(message.size() >> 8), static_cast<char>(message.size())} + message;
}

/// What is told of one direction of a connection, piece by piece.
struct Reader {
  DnsStreams streams;
  std::vector<std::string> told;
  int cuts = 0;

  void add(std::uint64_t offset, std::string_view bytes, std::uint64_t missing = 0, std::uint64_t stream = 1) {
    streams.add(
        {stream, false, offset, bytes.size() + missing, bytes},
        [this](std::string_view message) { told.emplace_back(message); }, [this] { ++cuts; });
  }
};

const std::string one(31, 'a'), two(300, 'b');

TEST(DnsStreams, finds_messages_however_they_are_cut) {
  const std::string all = framed(one) + framed(two) + framed(one);
  for (const std::size_t size : {1U, 2U, 3U, 7U, 33U, 34U, 101U, 1000U}) {
    Reader reader;
    for (std::size_t at = 0; at < all.size(); at += size) reader.add(at, std::string_view(all).substr(at, size));
    EXPECT_EQ(reader.told, (std::vector{one, two, one})) << size;
    EXPECT_EQ(reader.cuts, 0);
    EXPECT_EQ(reader.streams.malformed(), 0U);
  }
}

TEST(DnsStreams, keeps_connections_and_directions_apart) {
  DnsStreams streams;
  int told = 0;
  const auto tell = [&](std::string_view message) { told += message == one ? 1 : 100; };
  const std::string all = framed(one);
  for (std::size_t at = 0; at < all.size(); ++at) {
    for (const std::uint64_t stream : {1, 2, 3})
      for (const bool answer : {false, true})
        streams.add({stream, answer, at, 1, std::string_view(all).substr(at, 1)}, tell, [] {});
  }
  EXPECT_EQ(told, 6);
}

TEST(DnsStreams, tells_bytes_once_that_are_written_again) {
  Reader reader;
  const std::string all = framed(one) + framed(two);
  reader.add(0, std::string_view(all).substr(0, 50));
  reader.add(20, std::string_view(all).substr(20, 30));
  reader.add(40, std::string_view(all).substr(40));
  EXPECT_EQ(reader.told, (std::vector{one, two}));
}

TEST(DnsStreams, tells_nothing_behind_a_gap) {
  Reader reader;
  const std::string all = framed(one) + framed(two);
  reader.add(0, std::string_view(all).substr(0, 40));
  reader.add(41, std::string_view(all).substr(41));
  reader.add(all.size(), framed(one));
  EXPECT_EQ(reader.told, (std::vector{one}));
  EXPECT_EQ(reader.cuts, 1);
}

TEST(DnsStreams, tells_nothing_behind_what_could_not_be_read) {
  Reader reader;
  reader.add(0, "", 33);
  reader.add(33, framed(one));
  EXPECT_TRUE(reader.told.empty());
  EXPECT_EQ(reader.cuts, 1);
}

TEST(DnsStreams, counts_what_is_no_dns) {
  Reader reader;
  reader.add(0, std::string("\0\5hello", 7));
  reader.add(7, framed(one));
  EXPECT_TRUE(reader.told.empty());
  EXPECT_EQ(reader.streams.malformed(), 1U);
}

TEST(DnsStreams, forgets_the_oldest) {
  Reader reader;
  for (std::uint64_t stream = 0; stream < 5003; ++stream) reader.add(0, "\1", 0, stream);
  EXPECT_LE(reader.streams.size(), 2048U);
  EXPECT_EQ(reader.streams.malformed(), 5003 - reader.streams.size());
  // What is held is bounded, too: 64 KiB of each.
  const std::string most = std::string("\xff\xff", 2) + std::string(65000, 'c');
  for (std::uint64_t stream = 10'000; stream < 10'211; ++stream) reader.add(0, most, 0, stream);
  EXPECT_LE(reader.streams.size(), 66U);
}

}  // namespace
}  // namespace nightjar
