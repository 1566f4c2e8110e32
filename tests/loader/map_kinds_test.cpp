// SPDX-License-Identifier: Apache-2.0
// Maps of every type that user space works with.
#include <algorithm>
#include <numeric>
#include <optional>

#include "nightjar/mapped_array.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

using Key = std::uint32_t;
using Value = std::uint64_t;

class MapKinds : public testing::Test {
 protected:
  void SetUp() override {
    auto loaded = load(ProgramVersion(
        "v", {Program("uses_every_kind"), Program("on_rename_raw"), Program("jumped_to").tail_call("jumps", 1)}));
    ASSERT_OK(loaded);
    group_.emplace(std::move(*loaded));
  }
  Map map(const char* name) { return std::move(*group_->map(name)); }
  std::optional<LoadedGroup> group_;
};

TEST_F(MapKinds, TypedHash) {
  const auto counters = map("counters").as<Key, Value>();
  ASSERT_OK(counters);
  EXPECT_EQ(counters->get(1).error().code(), errc::not_found);
  EXPECT_OK(counters->set(1, 10, Put::only_new));
  EXPECT_FALSE(counters->set(1, 11, Put::only_new));
  EXPECT_OK(counters->set(1, 12, Put::only_existing));
  EXPECT_EQ(counters->get(1).value(), 12U);
  EXPECT_OK(counters->erase(1));
  EXPECT_EQ(counters->set(1, 1, Put::only_existing).error().code(), errc::not_found);
}

TEST_F(MapKinds, AnArrayInMemoryIsSharedWithThePrograms) {
  const Map map = this->map("mapped");
  const auto array = MappedArray::of(map);
  ASSERT_OK(array);
  ASSERT_EQ(array->entries(), 3U);
  // What this side writes is in the map, and what a program writes is here.
  *array->at<std::uint32_t>(1) = 17;
  EXPECT_EQ((map.get<Key, std::uint32_t>(1).value()), 17U);
  const auto before = *array->at<std::uint32_t>(2);
  for (int times = 0; times < 5; ++times) rename_self();
  EXPECT_EQ(*array->at<std::uint32_t>(2), before + 5);
  EXPECT_EQ((map.get<Key, std::uint32_t>(2).value()), before + 5);
}

TEST_F(MapKinds, WhatCannotBeInMemoryIsRefused) {
  for (const char* name : {"recent", "counters_per_cpu", "prefixes"}) {
    const auto array = MappedArray::of(map(name));
    ASSERT_FALSE(array) << name;
    EXPECT_EQ(array.error().code(), errc::unsupported) << array.error().what();
  }
}

TEST_F(MapKinds, TypesOfAnotherSizeAreRefused) {
  const auto wrong = map("counters").as<Key, Key>();
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), errc::invalid);
  EXPECT_NE(wrong.error().what().find("4 and 8 bytes, the types asked for 4 and 4"), std::string::npos)
      << wrong.error().what();
  EXPECT_EQ((map("counters_per_cpu").as<Key, Value>().has_value()), possible_cpus() == 1);
}

TEST_F(MapKinds, ManyEntriesAtOnce) {
  const auto recent = map("recent").as<Key, Value>();
  ASSERT_OK(recent);
  std::vector<Key> keys(600);
  std::iota(keys.begin(), keys.end(), 1);
  std::vector<Value> values(keys.begin(), keys.end());
  ASSERT_OK(recent->set_all(keys, values));
  auto items = recent->items();
  ASSERT_OK(items);
  std::sort(items->begin(), items->end());
  ASSERT_EQ(items->size(), 600U);
  for (std::size_t index = 0; index < items->size(); ++index) {
    EXPECT_EQ((*items)[index], (std::pair<Key, Value>(keys[index], keys[index])));
  }
  EXPECT_EQ(recent->erase_all(std::span(keys).first(500)).value(), 500U);
  EXPECT_EQ(recent->erase_all(keys).value(), 100U) << "absent keys are no failure";
  EXPECT_TRUE(recent->items()->empty());
  EXPECT_EQ(recent->set_all(keys, std::span(values).first(3)).error().code(), errc::invalid);
}

TEST_F(MapKinds, IterationCanEnd) {
  const auto recent = map("recent").as<Key, Value>();
  ASSERT_OK(recent);
  for (Key key = 0; key < 300; ++key) ASSERT_OK(recent->set(key, key));
  std::size_t visits = 0;
  EXPECT_OK(recent->for_each([&](Key, Value) { return ++visits < 7; }));
  EXPECT_EQ(visits, 7U);
}

TEST_F(MapKinds, AFullHashSaysHowManyItTook) {
  const auto counters = map("counters").as<Key, Value>();
  ASSERT_OK(counters);
  std::vector<Key> keys(65);
  std::iota(keys.begin(), keys.end(), 100);
  const std::vector<Value> values(keys.size());
  const auto full = counters->set_all(keys, values);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().sys(), E2BIG);
  EXPECT_NE(full.error().what().find("64"), std::string::npos) << full.error().what();
}

TEST_F(MapKinds, AnArrayHasAllItsKeys) {
  GroupOptions options = only_me();
  options.maps["deep"].max_entries = 300;
  const auto loaded = load(ProgramVersion("v", {Program("uses_deep")}), options);
  ASSERT_OK(loaded);
  const auto deep = loaded->map("deep")->as<Key, Value>();
  ASSERT_OK(deep);
  EXPECT_OK(deep->set(299, 7));
  const auto items = deep->items();
  ASSERT_OK(items);
  ASSERT_EQ(items->size(), 300U);
  EXPECT_EQ(items->back(), (std::pair<Key, Value>(299, 7)));
  EXPECT_FALSE(deep->set(300, 1));
  EXPECT_EQ(deep->get(300).error().code(), errc::not_found);
}

TEST_F(MapKinds, TakeGivesAndErases) {
  const auto counters = map("counters").as<Key, Value>();
  ASSERT_OK(counters);
  ASSERT_OK(counters->set(5, 55));
  const auto taken = counters->take(5);
  if (!taken && taken.error().code() == errc::unsupported) GTEST_SKIP() << taken.error().what();
  ASSERT_OK(taken);
  EXPECT_EQ(*taken, 55U);
  EXPECT_EQ(counters->get(5).error().code(), errc::not_found);
}

TEST_F(MapKinds, TheLongestPrefixMatches) {
  using Address = LpmKey<4>;
  const auto prefixes = map("prefixes").as<Address, std::uint32_t>();
  ASSERT_OK(prefixes);
  EXPECT_OK(prefixes->set({.prefix_bits = 8, .data = {10, 0, 0, 0}}, 1));
  EXPECT_OK(prefixes->set({.prefix_bits = 24, .data = {10, 0, 7, 0}}, 2));
  EXPECT_EQ(prefixes->get({.prefix_bits = 32, .data = {10, 1, 2, 3}}).value(), 1U);
  EXPECT_EQ(prefixes->get({.prefix_bits = 32, .data = {10, 0, 7, 3}}).value(), 2U);
  EXPECT_EQ(prefixes->get({.prefix_bits = 32, .data = {11, 0, 0, 1}}).error().code(), errc::not_found);
  EXPECT_EQ(prefixes->items()->size(), 2U);
  EXPECT_OK(prefixes->erase({.prefix_bits = 8, .data = {10, 0, 0, 0}}));
  EXPECT_EQ(prefixes->items()->size(), 1U);
}

TEST_F(MapKinds, QueuesAndStacks) {
  for (const char* name : {"queue", "stack"}) {
    const Map lined_up = map(name);
    EXPECT_EQ(lined_up.pop_value<Value>().error().code(), errc::not_found) << name;
    for (Value value = 1; value <= 3; ++value) EXPECT_OK(lined_up.push_value(value));
    EXPECT_EQ(lined_up.push_value(Value{4}).error().code(), errc::busy) << name;
    EXPECT_EQ(lined_up.push_value(Key{4}).error().code(), errc::invalid) << "wrong size";
    std::vector<Value> order;
    for (auto next = lined_up.pop_value<Value>(); next; next = lined_up.pop_value<Value>()) order.push_back(*next);
    EXPECT_EQ(order, (std::string_view(name) == "queue" ? std::vector<Value>{1, 2, 3} : std::vector<Value>{3, 2, 1}));
  }
}

TEST_F(MapKinds, ProgramArraysTakeProgramsOnly) {
  const Map jumps = map("jumps");
  EXPECT_OK(jumps.set_program(2, group_->program("jumped_to")->fd));
  EXPECT_FALSE(jumps.set_program(3, jumps.fd()));
  EXPECT_OK(jumps.erase_key(Key{2}));
  EXPECT_EQ(map("counters").set_program(0, group_->program("jumped_to")->fd).error().code(), errc::invalid);
}

TEST_F(MapKinds, TellsIdAndMemory) {
  const auto stats = map("recent").stats();
  ASSERT_OK(stats);
  EXPECT_GT(stats->id, 0U);
  EXPECT_GT(stats->memory_bytes, 1000U * 12U);
}

TEST_F(MapKinds, ADescriptorOfSomethingElseIsNoMap) {
  UniqueFd copy(::dup(0));
  EXPECT_EQ(Map::from_fd(std::move(copy)).error().code(), errc::invalid);
  EXPECT_EQ(Map::from_fd(UniqueFd()).error().code(), errc::invalid);
}

}  // namespace
}  // namespace nightjar::test
