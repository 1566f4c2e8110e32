// SPDX-License-Identifier: Apache-2.0
#include "wire/record.hpp"

#include <gtest/gtest.h>

namespace nightjar {
namespace {

using namespace std::string_view_literals;

TEST(Record, is_refused_when_shorter_than_its_kind_or_longer_than_what_came) {
  process_fork fork{};
  fork.hdr.kind = WIRE_PROCESS_FORK;
  fork.hdr.size = sizeof fork;
  const Bytes bytes = std::as_bytes(std::span(&fork, 1));
  EXPECT_TRUE(checked_record(bytes));
  EXPECT_FALSE(checked_record(bytes.first(sizeof fork - 1)));
  EXPECT_FALSE(checked_record(bytes.first(sizeof(wire_header) - 1)));
  EXPECT_FALSE(checked_record({}));
  fork.hdr.size = sizeof fork - 1;
  EXPECT_FALSE(checked_record(bytes));
  fork.hdr.size = sizeof fork + 1;
  EXPECT_FALSE(checked_record(bytes));
  fork.hdr.size = sizeof fork;
  fork.hdr.kind = WIRE_KIND_END;
  EXPECT_FALSE(checked_record(bytes));
}

TEST(Record, loses_the_padding_of_a_perf_buffer) {
  struct {
    process_fork fork;
    std::uint64_t padding;
  } padded{};
  padded.fork.hdr.kind = WIRE_PROCESS_FORK;
  padded.fork.hdr.size = sizeof(process_fork);
  EXPECT_EQ(checked_record(std::as_bytes(std::span(&padded, 1)))->size(), sizeof(process_fork));
}

TEST(Record, a_slice_that_leaves_the_record_is_empty) {
  const std::string bytes = "0123456789";
  const Bytes record = std::as_bytes(std::span(bytes));
  EXPECT_EQ(text_of(record, {2, 3}), "234");
  EXPECT_EQ(text_of(record, {2, 8}), "23456789");
  EXPECT_EQ(text_of(record, {2, 9}), "");
  EXPECT_EQ(text_of(record, {11, 0}), "");
  EXPECT_EQ(text_of(record, {0xffffffff, 0xffffffff}), "");
}

TEST(Record, joins_components_from_leaf_to_root) {
  EXPECT_EQ(join_path("cat\0bin\0usr\0"sv), "/usr/bin/cat");
  EXPECT_EQ(join_path("\0"sv), "/");
  EXPECT_EQ(join_path("memfd:x\0"sv), "/memfd:x");
  EXPECT_EQ(join_path(""sv), "");
}

TEST(Record, splits_strings_and_keeps_empty_ones) {
  EXPECT_EQ(split_strings("a\0\0b\0"sv), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(split_strings("\0"sv), (std::vector<std::string_view>{""}));
  EXPECT_EQ(split_strings("a\0cut"sv), (std::vector<std::string_view>{"a", "cut"}));
  EXPECT_TRUE(split_strings(""sv).empty());
}

}  // namespace
}  // namespace nightjar
