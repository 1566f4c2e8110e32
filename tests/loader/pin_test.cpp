// SPDX-License-Identifier: Apache-2.0
// Groups that outlive their process, and maps that are pinned.
#include <filesystem>
#include <optional>

#include <sys/wait.h>

#include "mounts.hpp"
#include "pins.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

class Pins : public testing::Test {
 protected:
  void SetUp() override {
    if (!files_.valid()) GTEST_SKIP() << files_.why_not();
  }
  [[nodiscard]] std::string directory() const { return files_.path() + "/group"; }
  static Result<LoadedGroup> load_one() { return load(ProgramVersion("raw~1", {Program("on_rename_raw")})); }

  PrivateMount files_{"bpf"};
};

TEST_F(Pins, APinnedGroupGoesOnWhenItsOwnerIsGone) {
  {
    auto group = load_one();
    ASSERT_OK(group);
    ASSERT_OK(group->pin(directory()));
    rename_self();
  }
  rename_self();  // nobody holds the group now
  const auto adopted = LoadedGroup::adopt(directory());
  ASSERT_OK(adopted);
  EXPECT_EQ(adopted->version(), "raw~1");
  ASSERT_EQ(adopted->programs().size(), 1U);
  EXPECT_EQ(adopted->programs()[0].name, "on_rename_raw");
  EXPECT_EQ(adopted->programs()[0].hook, "raw_tp/task_rename");
  EXPECT_EQ(adopted->programs()[0].kind, ProgramKind::raw_tracepoint);
  EXPECT_GT(adopted->stats("on_rename_raw")->instructions, 10U);
  rename_self();
  EXPECT_EQ(counter(*adopted->map("counters"), 1), 3U) << "a rename was missed";
  ASSERT_OK(LoadedGroup::unpin(directory()));
  EXPECT_FALSE(std::filesystem::exists(directory()));
  rename_self();
  EXPECT_EQ(counter(*adopted->map("counters"), 1), 4U) << "the adopted group holds it";
}

TEST_F(Pins, AnotherProcessAdoptsWithoutAGap) {
  auto group = load_one();
  ASSERT_OK(group);
  ASSERT_OK(group->pin(directory()));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto adopted = LoadedGroup::adopt(directory());
    auto counters = adopted ? adopted->map("counters") : Result<Map>(adopted.error());
    ::_exit(counters && counters->set(std::uint32_t{33}, std::uint64_t{7}) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(counter(*group->map("counters"), 33), 7U);
  ASSERT_OK(LoadedGroup::unpin(directory()));
}

TEST_F(Pins, UnpinnedAndLetGoItIsDetached) {
  auto group = load_one();
  ASSERT_OK(group);
  const auto counters = group->map("counters");
  ASSERT_OK(counters);
  ASSERT_OK(group->pin(directory()));
  group = Error(errc::invalid, "let go");
  ASSERT_OK(LoadedGroup::unpin(directory()));
  // The kernel lets go of what was pinned a little later (an RCU grace period).
  std::uint64_t before = 0;
  std::uint64_t after = 1;
  for (int i = 0; i < 200 && before != after; ++i) {
    before = counter(*counters, 1);
    rename_self();
    after = counter(*counters, 1);
    if (before != after) ::usleep(10000);
  }
  EXPECT_EQ(before, after) << "still attached after two seconds";
}

TEST_F(Pins, PinningTwiceIsBusyAndChangesNothing) {
  auto group = load_one();
  ASSERT_OK(group);
  ASSERT_OK(group->pin(directory()));
  EXPECT_EQ(group->pin(directory()).error().code(), errc::busy);
  EXPECT_OK(LoadedGroup::adopt(directory()));
  ASSERT_OK(LoadedGroup::unpin(directory()));
}

TEST_F(Pins, OnlyWhatPinMadeIsRemoved) {
  auto group = load_one();
  ASSERT_OK(group);
  ASSERT_OK(group->pin(directory()));
  ASSERT_OK(group->map("counters")->pin(directory() + "/of_another"));
  ASSERT_OK(LoadedGroup::unpin(directory()));
  EXPECT_TRUE(std::filesystem::exists(directory() + "/of_another"));
  EXPECT_EQ(LoadedGroup::adopt(directory()).error().code(), errc::not_found);
}

TEST_F(Pins, NothingPinnedIsNotFound) {
  EXPECT_EQ(LoadedGroup::adopt(directory()).error().code(), errc::not_found);
  EXPECT_OK(LoadedGroup::unpin(directory()));
}

TEST_F(Pins, OtherFileSystemsAreRefusedWithAdvice) {
  auto group = load_one();
  ASSERT_OK(group);
  const auto refused = group->pin("/tmp");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), errc::invalid);
  EXPECT_NE(refused.error().what().find("mount -t bpf"), std::string::npos) << refused.error().what();
}

TEST_F(Pins, AMapIsPinnedFoundAndShared) {
  std::optional<LoadedGroup> group;
  group.emplace(std::move(*load_one()));
  ASSERT_OK(group->map("counters")->pin(files_.path() + "/counters"));
  rename_self();
  group.reset();
  const auto pinned = Map::open_pinned(files_.path() + "/counters");
  ASSERT_OK(pinned);
  EXPECT_EQ(pinned->name(), "counters");
  EXPECT_EQ(counter(*pinned, 1), 1U);

  GroupOptions options = only_me();
  options.maps["counters"].share = &*pinned;
  const auto next = load(ProgramVersion("v", {Program("on_rename_raw")}), options);
  ASSERT_OK(next);
  rename_self();
  EXPECT_EQ(counter(*pinned, 1), 2U);
  EXPECT_EQ(pinned->pin(files_.path() + "/counters").error().code(), errc::busy);
  EXPECT_EQ(Map::open_pinned(files_.path() + "/none").error().code(), errc::not_found);
}

}  // namespace
}  // namespace nightjar::test
