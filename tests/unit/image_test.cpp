// SPDX-License-Identifier: Apache-2.0
#include "agent/image.hpp"

#include <gtest/gtest.h>

namespace nightjar {
namespace {

using namespace std::string_view_literals;
using namespace std::string_literals;

TEST(Image, keeps_the_beginning_of_a_long_argv_and_hands_out_all_of_it) {
  const std::string block = "cmd\0"s + std::string(10007, 'x') + '\0';
  ArgsText whole;
  const auto image = make_image("/bin/cmd", block, block.size(), &whole);
  EXPECT_EQ(image->args_cut_from, block.size());
  EXPECT_EQ(image->args, "[\"cmd\",\"" + std::string(args_kept - 4, 'x') + "\"]");
  EXPECT_EQ(whole.args, "[\"cmd\",\"" + std::string(10007, 'x') + "\"]");
}

TEST(Image, says_when_less_came_than_there_is) {
  ArgsText whole;
  EXPECT_EQ(make_image("/bin/cmd", "cmd\0"sv, 99, &whole)->args_cut_from, 99U);
  EXPECT_EQ(make_image("/bin/cmd", "cmd\0"sv, 4, &whole)->args_cut_from, 0U);
  EXPECT_TRUE(whole.args.empty());
}

TEST(Image, keeps_exact_bytes_of_every_argument_when_one_is_not_utf8) {
  const ArgsText text = args_text("a\0\xff\0"sv);
  EXPECT_EQ(text.args, "[\"a\",\"\xef\xbf\xbd\"]");
  ASSERT_EQ(text.raw.size(), 2U);
  EXPECT_EQ(text.raw[0].first, "process.args");
  EXPECT_EQ(text.raw[0].second, R"(["YQ==","/w=="])");
  EXPECT_EQ(text.raw[1].first, "process.command_line");
}

TEST(Environment, gives_the_chosen_variables_only) {
  const std::vector<std::string> names = {"LD_PRELOAD", "PATH"};
  std::vector<json::Named> raw;
  EXPECT_EQ(chosen_environment("HOME=/\0PATH=/bin\0LD_PRELOAD_X=1\0LD_PRELOAD=/x.so\0PATHS=1\0"sv, names, raw),
            R"(["PATH=/bin","LD_PRELOAD=/x.so"])");
  EXPECT_EQ(chosen_environment("HOME=/\0"sv, names, raw), "");
  EXPECT_EQ(chosen_environment("PATH"sv, names, raw), "");
  EXPECT_TRUE(raw.empty());
}

}  // namespace
}  // namespace nightjar
