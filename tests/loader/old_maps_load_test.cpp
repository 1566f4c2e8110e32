// SPDX-License-Identifier: Apache-2.0
// Programs whose maps were defined the old way, at work in the kernel.
#include <cstring>

#include "nightjar/event_source.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

class OldObject : public testing::TestWithParam<const char*> {
 protected:
  static Result<LoadedGroup> load_old(const ProgramVersion& version, const EventHandler& on_event = {}) {
    GroupOptions options;
    options.before_attach = [](const LoadedGroup& group) -> Result<> {
      const Map settings = NIGHTJAR_TRY(group.map("settings"));
      return settings.set(std::uint32_t{0}, static_cast<std::uint32_t>(::getpid()));
    };
    return ProgramGroup(options).load(ProgramBlueprint::from_file(object_path(GetParam())), {version}, on_event);
  }
};

TEST_P(OldObject, CountsAndJumps) {
  const auto group =
      load_old(ProgramVersion{Program("old_counts"), Program("old_jumped_to").tail_call("old_jumps", 1)});
  ASSERT_OK(group);
  for (int i = 0; i < 7; ++i) rename_self();
  const auto seen = group->map("seen");
  ASSERT_OK(seen);
  EXPECT_EQ(seen->max_entries(), 17U);
  EXPECT_EQ(counter(*seen, 1), 7U);
  EXPECT_EQ(counter(*seen, 2), 0U) << "the tail call did not jump";
  EXPECT_EQ(counter(*seen, 3), 7U);
  EXPECT_EQ(group->map("never_used").error().code(), errc::unsupported);
}

TEST_P(OldObject, SendsThroughAPerfBuffer) {
  std::size_t good = 0;
  std::string map;
  {
    const auto group = load_old(ProgramVersion{Program("old_sends")}, [&](const EventView& event) {
      std::uint64_t numbers[2] = {};
      if (event.bytes.size() >= sizeof(numbers)) std::memcpy(numbers, event.bytes.data(), sizeof(numbers));
      good += numbers[0] == 31 && numbers[1] == 37 ? 1 : 0;
      map = event.map;
    });
    ASSERT_OK(group);
    for (int i = 0; i < 11; ++i) rename_self();
  }  // gives what waits
  EXPECT_EQ(good, 11U);
  EXPECT_EQ(map, "old_events");
}

INSTANTIATE_TEST_SUITE_P(Both, OldObject, testing::Values("old_maps.bpf.o", "old_maps_no_btf.bpf.o"),
                         [](const auto& param) { return std::string(param.index == 0 ? "with_btf" : "without"); });

}  // namespace
}  // namespace nightjar::test
