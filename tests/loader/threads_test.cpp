// SPDX-License-Identifier: Apache-2.0
// What the interface says may be done from several threads, done so: for ThreadSanitizer, and for the results.
#include <array>
#include <atomic>
#include <regex>
#include <thread>

#include "support.hpp"

namespace nightjar::test {
namespace {

constexpr unsigned thread_count = 3;

/// Runs `work(number)` on each thread, all at once.
template <class F>
void on_threads(F work) {
  std::atomic<unsigned> ready = 0;
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < thread_count; ++number) {
    threads.emplace_back([&, number] {
      ++ready;
      while (ready < thread_count) std::this_thread::yield();
      work(number);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Threads, EachLoadsItsGroupAndHearsItsOwnErrors) {
  std::array<std::string, thread_count> errors;
  std::array<int, thread_count> loads{};
  on_threads([&](unsigned number) {
    const std::string missing = "no_such_point_" + std::to_string(number);
    for (int round = 0; round < 3; ++round) {
      const auto group =
          ProgramGroup(only_me()).load(blueprint(), {ProgramVersion("fails", {Program("on_rename_raw", {missing})}),
                                                     ProgramVersion("works", {Program("on_rename_raw")})});
      if (!group) continue;
      ++loads[number];
      for (const Error& error : group->passed_over()) errors[number] += to_string_verbose(error) + "\n";
    }
  });
  for (unsigned number = 0; number < thread_count; ++number) {
    EXPECT_EQ(loads[number], 3);
    for (unsigned other = 0; other < thread_count; ++other) {
      const bool named = errors[number].find("no_such_point_" + std::to_string(other)) != std::string::npos;
      EXPECT_EQ(named, other == number) << errors[number];
    }
  }
}

TEST(Threads, ReadOneBlueprintAtATime) {
  std::atomic<unsigned> found = 0;
  on_threads([&](unsigned) {
    const ProgramBlueprint copy = blueprint();
    found += copy.find_program("on_rename_raw") != nullptr ? 1 : 0;
    found += ProgramBlueprint::from_file(object_path("old_maps.bpf.o")).has_value() ? 1 : 0;
  });
  EXPECT_EQ(found, 2 * thread_count);
}

TEST(Threads, ShareAMap) {
  const auto group = load(ProgramVersion{Program("on_rename_raw")});
  ASSERT_OK(group);
  const auto counters = group->map("counters")->as<std::uint32_t, std::uint64_t>();
  ASSERT_OK(counters);
  std::atomic<unsigned> wrong = 0;
  on_threads([&](unsigned number) {
    const std::uint32_t key = 20 + number;
    for (std::uint64_t value = 0; value < 101; ++value) {
      if (!counters->set(key, value) || counters->get(key).value_or(999) != value) ++wrong;
      if (!counters->items()) ++wrong;
    }
    if (!counters->erase(key)) ++wrong;
  });
  EXPECT_EQ(wrong, 0U);
}

TEST(Threads, AskAndStopThePollerWhileItReads) {
  std::uint64_t given = 0;  // the poller's thread only, until it is joined
  GroupOptions options = only_me();
  options.maps["events"].max_entries = 1U << 20;  // for all of them: the poller may get no CPU before the end
  auto group = ProgramGroup(options).load(blueprint(), {ProgramVersion("v", {Program("send_burst")}).set("burst", 7U)},
                                          [&](const EventView&) { ++given; });
  ASSERT_OK(group);
  std::atomic<unsigned> failures = 0;
  on_threads([&](unsigned) {
    for (int i = 0; i < 101; ++i) {
      rename_self();
      if (group->poller()->has_failed() || group->poller()->lost() != 0) ++failures;
      (void)group->poller()->delivered();
    }
  });
  const auto stats = group->stats("send_burst");
  ASSERT_OK(stats);
  const std::uint64_t missed = stats->recursion_misses;
  group->detach();
  on_threads([&](unsigned) { failures += group->poller()->stop() ? 0 : 1; });
  EXPECT_EQ(failures, 0U);
  // Since 7.0 a thread may be preempted in the program, which the kernel then skips for others on its CPU.
  // It counts what others' renames would have brought too.
  EXPECT_GE(given + 7 * missed, thread_count * 101 * 7);
  EXPECT_LE(given, thread_count * 101 * 7);
  EXPECT_GT(given, 0U);
  EXPECT_EQ(group->poller()->delivered(), given);
}

GroupOptions loaded_by(unsigned threads) {
  GroupOptions options = only_me();
  options.load_threads = threads;
  return options;
}

TEST(LoadThreads, GiveTheSameProgramsAsOne) {
  const ProgramVersion version("v", {Program("on_rename_raw"), Program("uses_deep"), Program("uses_deep_too"),
                                     Program("on_rename_btf").optional(), Program("on_rename_tracepoint").optional(),
                                     Program("dump_task").optional(), Program("send_burst"), Program("jumps_on_rename"),
                                     Program("jumped_to").tail_call("jumps", 1)});
  const auto by_one = load(version, loaded_by(1));
  ASSERT_OK(by_one);
  for (int round = 0; round < 7; ++round) {
    const auto by_many = load(version, loaded_by(thread_count));
    ASSERT_OK(by_many);
    for (const LoadedProgram& program : by_one->programs()) {
      const LoadedProgram* same = by_many->program(program.name);
      ASSERT_NE(same, nullptr);
      EXPECT_EQ(same->hook, program.hook);
      EXPECT_EQ(same->absent_because, program.absent_because);
      if (program.fd < 0) continue;
      const auto expected = by_one->stats(program.name), stats = by_many->stats(program.name);
      ASSERT_OK(stats);
      EXPECT_EQ(stats->instructions, expected->instructions) << program.name;
      EXPECT_EQ(stats->verified_instructions, expected->verified_instructions) << program.name;
    }
    rename_self();
    EXPECT_EQ(counter(*by_many->map("counters"), 1), 1U);
  }
}

TEST(LoadThreads, SayWhatOneSaysOfARefusal) {
  const ProgramVersion version(
      "v", {Program("uses_deep"), Program("refused"), Program("on_rename_raw"), Program("uses_deep_too")});
  const auto before = open_descriptors();
  std::array<std::string, 2> errors, culprits;
  for (const unsigned several : {0U, 1U}) {
    GroupOptions options = loaded_by(several == 0 ? 1 : thread_count);
    options.on_refusal = [&](std::string_view program) { culprits.at(several) = program; };
    const auto loaded = load(version, options);
    ASSERT_FALSE(loaded);
    static const std::regex differs("0x[0-9a-f]+|verification time .*");
    errors.at(several) = std::regex_replace(to_string_verbose(loaded.error()), differs, "-");
  }
  EXPECT_EQ(culprits[1], "refused");
  EXPECT_EQ(culprits[1], culprits[0]);
  EXPECT_EQ(errors[1], errors[0]);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(LoadThreads, GoOnWithoutAnOptionalProgram) {
  const auto loaded =
      load(ProgramVersion("v", {Program("uses_deep"), Program("refused").optional(), Program("on_rename_raw")}),
           loaded_by(thread_count));
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->program("refused")->fd, -1);
  EXPECT_FALSE(loaded->program("refused")->absent_because.empty());
  rename_self();
  EXPECT_EQ(counter(*loaded->map("counters"), 1), 1U);
}

}  // namespace
}  // namespace nightjar::test
