// SPDX-License-Identifier: Apache-2.0
#include "agent/merger.hpp"

#include <gtest/gtest.h>

namespace nightjar {
namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t hold_ns = 23'000'000;

std::vector<std::uint64_t> given(Merger& merger, bool all) {
  std::vector<std::uint64_t> times;
  merger.give(all, [&](Bytes record, const Origin&) { times.push_back(as_wire<wire_header>(record).time_ns); });
  return times;
}

void add(Merger& merger, std::uint64_t time_ns) {
  wire_header header{};
  header.time_ns = time_ns;
  merger.add(std::as_bytes(std::span(&header, 1)));
}

TEST(Merger, holds_back_what_may_still_be_on_its_way) {
  constexpr std::uint64_t ms = second / 1000;
  Merger merger(hold_ns);
  EXPECT_EQ(merger.next_round_ns(7), 7U);
  merger.begin_round(10 * second);
  add(merger, 9 * second);
  add(merger, 10 * second - ms);  // stamped shortly before: an older one may not have been sent yet
  add(merger, 10 * second + ms);
  EXPECT_EQ(given(merger, false), (std::vector<std::uint64_t>{9 * second}));
  EXPECT_FALSE(merger.empty());
  const std::uint64_t next = merger.next_round_ns(10 * second);
  EXPECT_EQ(next, 10 * second - ms + hold_ns + 1);
  EXPECT_EQ(merger.next_round_ns(next + ms), next + ms);
  EXPECT_EQ(merger.next_round_ns(20 * second), next + 2 * ms);  // then the last one is ripe
  merger.begin_round(next);
  add(merger, 10 * second - 2 * ms);  // from a buffer that was read later
  EXPECT_EQ(given(merger, false), (std::vector<std::uint64_t>{10 * second - 2 * ms, 10 * second - ms}));
}

TEST(Merger, waits_for_a_buffer_that_was_not_read_to_its_end) {
  Merger merger(hold_ns);
  merger.begin_round(10 * second);
  add(merger, 5 * second);
  merger.begin_round(11 * second);
  EXPECT_EQ(given(merger, false), (std::vector<std::uint64_t>{5 * second}));
  // Two buffers: one has told all up to 9 s; the other still has what is older.
  add(merger, 9 * second);
  add(merger, 6 * second);
  add(merger, 7 * second);
  merger.begin_round(12 * second);
  merger.read_up_to(7 * second);
  EXPECT_EQ(given(merger, false), (std::vector<std::uint64_t>{6 * second}));
  add(merger, 8 * second);
  merger.begin_round(13 * second);
  EXPECT_EQ(given(merger, false), (std::vector<std::uint64_t>{7 * second, 8 * second, 9 * second}));
}

TEST(Merger, gives_everything_in_order_at_the_end) {
  Merger merger(hold_ns);
  merger.begin_round(10 * second);
  for (const std::uint64_t at : {7, 3, 5, 3}) add(merger, at * second);
  EXPECT_EQ(given(merger, true), (std::vector<std::uint64_t>{3 * second, 3 * second, 5 * second, 7 * second}));
  EXPECT_TRUE(merger.empty());
}

}  // namespace
}  // namespace nightjar
