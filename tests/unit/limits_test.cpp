// SPDX-License-Identifier: Apache-2.0
#include "agent/limits.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace nightjar {
namespace {

void hold_back(std::vector<wire_limit>& rows, std::size_t row, std::uint64_t count) {
  rows[row].suppressed += count;
  rows[0].suppressed += count;
}

TEST(Limits, tells_each_event_that_was_held_back_once) {
  std::vector<wire_limit> rows(7);
  rows[2].pid = 101;
  rows[2].kind = WIRE_NET_CONNECT;
  rows[5].pid = 103;
  rows[5].kind = WIRE_KILL;
  Limits limits(rows);
  limits.look();
  EXPECT_TRUE(limits.take().empty());
  hold_back(rows, 2, 11);
  hold_back(rows, 5, 3);
  limits.look();
  hold_back(rows, 2, 2);
  limits.look();
  limits.look();
  EXPECT_EQ(limits.take(),
            (std::map<std::string, std::uint64_t>{{"rate_limit:connect:101", 13}, {"rate_limit:kill:103", 3}}));
  EXPECT_TRUE(limits.take().empty());
  // Another process got the row.
  EXPECT_EQ(rows[2].told, rows[2].suppressed);
  rows[2].pid = 107;
  hold_back(rows, 2, 5);
  limits.look();
  EXPECT_EQ(limits.take(), (std::map<std::string, std::uint64_t>{{"rate_limit:connect:107", 5}}));
  EXPECT_EQ(limits.suppressed(), 21U);
}

}  // namespace
}  // namespace nightjar
