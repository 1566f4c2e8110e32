// SPDX-License-Identifier: Apache-2.0
// What is read from debug information, against what the compiler says.
#include <cstddef>
#include <filesystem>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "atlas/files.hpp"
#include "atlas/kernel_image.hpp"
#include "atlas/wanted.hpp"
#include "dwarf_sample.h"

namespace nightjar::atlas {
namespace {

class DwarfReader : public testing::Test {
 protected:
  void SetUp() override {
    const auto path = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "libdwarf_sample.so";
    auto bytes = read_whole(path, std::size_t{1} << 24U);
    ASSERT_TRUE(bytes) << bytes.error().what();
    auto types = read_kernel(as_bytes(*bytes), pool_, {.prefer = Prefer::dwarf});
    ASSERT_TRUE(types) << types.error().what();
    EXPECT_EQ(types->kernel.method, "dwarf");
    layout_ = std::move(types->layout);
  }
  [[nodiscard]] LayoutIndex index() const { return {pool_, layout_}; }
  [[nodiscard]] std::int64_t value(const std::string& name) const {
    return index().value(*Want::from_text(name)).value_or(-1);
  }
  [[nodiscard]] std::size_t bit_of(const std::string& name) const {
    const auto places = index().places(*Want::from_text(name));
    return places.size() == 1 ? places.front().bit_offset : ~std::size_t{0};
  }

  TypePool pool_;
  Layout layout_;
};

TEST_F(DwarfReader, gives_enumerators_their_sign) {
  EXPECT_EQ(value("enum sample_flag.SAMPLE_LOW"), SAMPLE_LOW);
  EXPECT_EQ(value("enum sample_flag.SAMPLE_HIGH_BYTE"), SAMPLE_HIGH_BYTE);
  EXPECT_EQ(value("enum sample_flag.SAMPLE_HIGH_HALF"), SAMPLE_HIGH_HALF);
  EXPECT_EQ(value("enum sample_signed.SAMPLE_BELOW"), SAMPLE_BELOW);
  EXPECT_EQ(value("enum sample_signed.SAMPLE_FAR_BELOW"), SAMPLE_FAR_BELOW);
  EXPECT_EQ(value("enum sample_signed.SAMPLE_ABOVE"), SAMPLE_ABOVE);
}

TEST_F(DwarfReader, finds_members_inside_of_what_has_no_name) {
  EXPECT_EQ(bit_of("sample.first"), 8 * offsetof(sample, first));
  EXPECT_EQ(bit_of("sample.inside"), 8 * offsetof(sample, inside));
  EXPECT_EQ(bit_of("sample.other"), 8 * offsetof(sample, other));
  EXPECT_EQ(bit_of("sample.flag"), 8 * offsetof(sample, flag));
  EXPECT_EQ(bit_of("sample.pointers"), 8 * offsetof(sample, pointers));
  EXPECT_EQ(bit_of("sample.more_bits"), bit_of("sample.bits") + 3);
}

}  // namespace
}  // namespace nightjar::atlas
