// SPDX-License-Identifier: Apache-2.0
#include "nightjar/map.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "support.hpp"

namespace nightjar::test {
namespace {

using Key = std::uint32_t;
using Value = std::uint64_t;

class Maps : public testing::Test {
 protected:
  void SetUp() override {
    auto loaded = load(ProgramVersion("v", {Program("on_rename_raw")}));
    ASSERT_OK(loaded);
    group_.emplace(std::move(*loaded));
    auto counters = group_->map("counters");
    ASSERT_OK(counters);
    counters_.emplace(std::move(*counters));
  }
  std::optional<LoadedGroup> group_;
  std::optional<Map> counters_;
};

TEST_F(Maps, GetSetErase) {
  EXPECT_EQ((counters_->get<Key, Value>(40).error().code()), errc::not_found);
  EXPECT_OK(counters_->set(Key{40}, Value{7}));
  EXPECT_EQ((counters_->get<Key, Value>(40).value()), 7U);
  EXPECT_FALSE(counters_->set(Key{40}, Value{8}, 1)) << "1: must be new";
  EXPECT_OK(counters_->set(Key{40}, Value{8}, 2));
  EXPECT_EQ((counters_->get<Key, Value>(40).value()), 8U);
  EXPECT_OK(counters_->erase_key(Key{40}));
  EXPECT_EQ(counters_->erase_key(Key{40}).error().code(), errc::not_found);
  EXPECT_EQ(counters_->set(Key{40}, Value{8}, 2).error().code(), errc::not_found) << "2: must exist";
}

TEST_F(Maps, SizesAreChecked) {
  EXPECT_EQ((counters_->get<Key, Key>(1).error().code()), errc::invalid);
  EXPECT_EQ((counters_->get<Value, Value>(1).error().code()), errc::invalid);
  EXPECT_EQ(counters_->set(Key{1}, Key{1}).error().code(), errc::invalid);
  EXPECT_EQ(counters_->erase_key(Value{1}).error().code(), errc::invalid);
}

TEST_F(Maps, EveryKeyOnce) {
  std::vector<Key> wanted(50);
  std::iota(wanted.begin(), wanted.end(), 100);
  for (const Key key : wanted) EXPECT_OK(counters_->set(key, Value{key}));
  std::vector<Key> found;
  EXPECT_OK(counters_->for_each_key([&](std::span<const std::byte> bytes) {
    Key key = 0;
    std::memcpy(&key, bytes.data(), sizeof(key));
    found.push_back(key);
    return true;
  }));
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, wanted);
}

TEST_F(Maps, KeysCanBeErasedOnTheWayAndTheWayCanEnd) {
  for (Key key = 0; key < 50; ++key) EXPECT_OK(counters_->set(key, Value{key}));
  std::size_t visits = 0;
  EXPECT_OK(counters_->for_each_key([&](std::span<const std::byte>) { return ++visits < 10; }));
  EXPECT_EQ(visits, 10U);
  visits = 0;
  EXPECT_OK(counters_->for_each_key([&](std::span<const std::byte> key) {
    ++visits;
    EXPECT_OK(counters_->erase(key));
    return true;
  }));
  EXPECT_EQ(visits, 50U);
  EXPECT_OK(counters_->for_each_key([](std::span<const std::byte>) {
    ADD_FAILURE() << "the map should be empty";
    return false;
  }));
}

TEST_F(Maps, PerCpuValuesAddUp) {
  const auto per_cpu = group_->map("counters_per_cpu");
  ASSERT_OK(per_cpu);
  EXPECT_EQ(per_cpu->value_bytes(), 8U * possible_cpus());
  for (int i = 0; i < 5; ++i) rename_self();
  const auto values = per_cpu->get_per_cpu<Key, Value>(0);
  ASSERT_OK(values);
  EXPECT_EQ(values->size(), possible_cpus());
  EXPECT_EQ(std::accumulate(values->begin(), values->end(), Value{0}), 5U);
  EXPECT_EQ((per_cpu->get<Key, Value>(0).has_value()), possible_cpus() == 1) << "one value is not enough";
}

TEST_F(Maps, DuplicateIsTheSameMap) {
  auto copy = counters_->duplicate();
  ASSERT_OK(copy);
  EXPECT_NE(copy->fd(), counters_->fd());
  EXPECT_OK(counters_->set(Key{3}, Value{33}));
  counters_.reset();
  group_.reset();
  EXPECT_EQ((copy->get<Key, Value>(3).value()), 33U);
}

}  // namespace
}  // namespace nightjar::test
