// SPDX-License-Identifier: Apache-2.0
#include "agent/line_info.hpp"

#include <gtest/gtest.h>

#include "agent/programs.hpp"
#include "probes.hpp"

namespace nightjar {
namespace {

TEST(LineInfo, is_left_out_and_nothing_else) {
  const auto whole = probes();
  ASSERT_FALSE(whole.empty());
  const auto less = without_line_info(whole);
  EXPECT_LT(less.size(), whole.size() * 3 / 4);
  EXPECT_EQ(without_line_info(less), less);
  const auto before = ProgramBlueprint::from_bytes(whole, "before");
  const auto after = ProgramBlueprint::from_bytes(less, "after");
  ASSERT_TRUE(before && after);
  ASSERT_EQ(after->programs().size(), before->programs().size());
  for (std::size_t i = 0; i < before->programs().size(); ++i) {
    EXPECT_EQ(after->programs()[i].name, before->programs()[i].name);
    EXPECT_EQ(after->programs()[i].instructions, before->programs()[i].instructions);
    EXPECT_EQ(after->programs()[i].maps, before->programs()[i].maps);
  }
}

TEST(LineInfo, of_what_is_cut_off_or_wrong_is_left_as_it_is) {
  const auto whole = probes();
  for (std::size_t size = 0; size < whole.size(); size += 4099) {
    const auto cut = std::span(whole).first(size);
    EXPECT_EQ(without_line_info(cut).size(), size);
  }
  const std::vector<std::byte> nothing(200);
  EXPECT_EQ(without_line_info(nothing), nothing);
}

}  // namespace
}  // namespace nightjar
