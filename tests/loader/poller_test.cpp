// SPDX-License-Identifier: Apache-2.0
// load() with a handler, and the thread behind it.
#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

#include <sched.h>

#include <linux/bpf.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "nightjar/event_poller.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

using namespace std::chrono_literals;

/// What arrived, in order: a number, or a loss as its negative.
class Inbox {
 public:
  EventHandler handler() {
    return [this](const EventView& event) {
      const std::scoped_lock lock(mutex_);
      if (event.lost != 0) {
        entries_.push_back(-static_cast<std::int64_t>(event.lost));
        return;
      }
      std::uint64_t number = 0;
      std::memcpy(&number, event.bytes.data(), sizeof(number));
      entries_.push_back(static_cast<std::int64_t>(number));
      thread_ = static_cast<pid_t>(::syscall(SYS_gettid));
      map_ = event.map;
    };
  }
  [[nodiscard]] std::vector<std::int64_t> entries() const {
    const std::scoped_lock lock(mutex_);
    return entries_;
  }
  [[nodiscard]] pid_t thread() const {
    const std::scoped_lock lock(mutex_);
    return thread_;
  }
  [[nodiscard]] std::string map() const {
    const std::scoped_lock lock(mutex_);
    return map_;
  }
  bool has(std::size_t count) const {
    for (int i = 0; i < 300 && entries().size() < count; ++i) std::this_thread::sleep_for(10ms);
    return entries().size() >= count;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::int64_t> entries_;
  std::string map_;
  pid_t thread_ = 0;
};

Result<LoadedGroup> load_burst(std::uint32_t burst, bool through_perf, const EventHandler& handler,
                               GroupOptions options = only_me()) {
  if (through_perf) options.maps["events"].type = BPF_MAP_TYPE_PERF_EVENT_ARRAY;
  return ProgramGroup(std::move(options))
      .load(blueprint(),
            {ProgramVersion("v", {Program("send_burst")}).set("burst", burst).set("through_perf", through_perf)},
            handler);
}

class Poller : public testing::TestWithParam<bool> {};

TEST_P(Poller, AnEventRightAfterLoadArrives) {
  Inbox inbox;
  const auto group = load_burst(10, GetParam(), inbox.handler());
  ASSERT_OK(group);
  ASSERT_NE(group->poller(), nullptr);
  rename_self();
  ASSERT_TRUE(inbox.has(10));
  for (std::size_t index = 0; index < 10; ++index)
    EXPECT_EQ(inbox.entries()[index], static_cast<std::int64_t>(index + 1));
  EXPECT_EQ(inbox.map(), "events");
  EXPECT_NE(inbox.thread(), static_cast<pid_t>(::syscall(SYS_gettid)));
  EXPECT_EQ(group->poller()->delivered(), 10U);
}

TEST_P(Poller, WhatWaitsIsGivenBeforeTheEnd) {
  Inbox inbox;
  {
    auto group = load_burst(10, GetParam(), inbox.handler());
    ASSERT_OK(group);
    rename_self();
  }
  EXPECT_EQ(inbox.entries().size(), 10U);
}

TEST_P(Poller, DetachAndStopAtAnyTime) {
  Inbox inbox;
  auto group = load_burst(10, GetParam(), inbox.handler());
  ASSERT_OK(group);
  rename_self();
  group->detach();
  rename_self();
  EXPECT_OK(group->poller()->stop());
  EXPECT_OK(group->poller()->stop());
  EXPECT_EQ(inbox.entries().size(), 10U);
}

INSTANTIATE_TEST_SUITE_P(Both, Poller, testing::Bool(),
                         [](const auto& param) { return param.param ? std::string("perf") : std::string("ring"); });

TEST(PollerLoss, ComesInItsPlace) {
  cpu_set_t old;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(old), &old), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &old)) continue;
    CPU_SET(cpu, &one);
    break;
  }
  // The handler sleeps over the first burst, which the buffer cannot hold.
  Inbox inbox;
  std::atomic<bool> sleeps = true;
  const auto handler = [&, take = inbox.handler()](const EventView& event) {
    take(event);
    while (sleeps) std::this_thread::sleep_for(1ms);
  };
  GroupOptions options = only_me();
  options.events.bytes_per_cpu = 1U << 16;
  options.events.wakeup_bytes = 1;
  const auto group = load_burst(100, true, handler, options);
  ASSERT_OK(group);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  for (int i = 0; i < 50; ++i) rename_self();
  sleeps = false;
  ASSERT_TRUE(inbox.has(100));
  std::this_thread::sleep_for(300ms);
  rename_self();  // the kernel tells of a loss in front of the next record that fits
  ::sched_setaffinity(0, sizeof(old), &old);
  EXPECT_OK(group->poller()->stop());
  // Whatever is missing between two numbers is told between them, exactly.
  std::int64_t next = 1;
  std::uint64_t lost = 0;
  for (const std::int64_t entry : inbox.entries()) {
    if (entry < 0) {
      next += -entry;
      lost += static_cast<std::uint64_t>(-entry);
      continue;
    }
    ASSERT_EQ(entry, next);
    ++next;
  }
  EXPECT_EQ(next, 5101);
  EXPECT_GT(lost, 1000U);
  EXPECT_EQ(group->poller()->lost(), lost);
}

TEST(PollerThread, HasItsNameAndPolicy) {
  Inbox inbox;
  GroupOptions options = only_me();
  options.poller.thread_name = "reads-events";
  options.poller.scheduling = Scheduling::batch(7);
  const auto group = load_burst(1, false, inbox.handler(), options);
  ASSERT_OK(group);
  rename_self();
  ASSERT_TRUE(inbox.has(1));
  const auto name = file_bytes("/proc/self/task/" + std::to_string(inbox.thread()) + "/comm");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(name.data()), name.size()), "reads-events\n");
  EXPECT_EQ(::sched_getscheduler(inbox.thread()), SCHED_BATCH);
  EXPECT_EQ(::getpriority(PRIO_PROCESS, static_cast<id_t>(inbox.thread())), 7);
}

TEST(PollerThread, WrongOptionsAreInvalid) {
  Inbox inbox;
  GroupOptions options = only_me();
  options.poller.thread_name = "a name of far too many letters";
  EXPECT_FALSE(load_burst(1, false, inbox.handler(), options));
  options = only_me();
  options.poller.scheduling = Scheduling::fifo(100);
  const auto refused = load_burst(1, false, inbox.handler(), options);
  ASSERT_FALSE(refused);
  EXPECT_NE(to_string(refused.error()).find("priority 100 is not between 1 and 99"), std::string::npos);
}

TEST(PollerThread, EveryPolicyCanBeSet) {
  using Policy = Scheduling::Policy;
  for (const Scheduling& wanted :
       {Scheduling::other(-5), Scheduling::other(19), Scheduling::idle(), Scheduling::batch(3), Scheduling::fifo(1),
        Scheduling::round_robin(99), Scheduling::for_deadline(1ms, 10ms, 20ms)}) {
    Result<> done;
    int policy = -1;
    std::thread([&] {
      done = set_scheduling(wanted);
      policy = ::sched_getscheduler(0);
    }).join();
    if (!done && wanted.policy == Policy::deadline) continue;  // only where no CPU is taken from this process
    ASSERT_OK(done);
    EXPECT_EQ(policy == SCHED_OTHER, wanted.policy == Policy::other);
  }
}

TEST(PollerThread, NoBufferToReadIsInvalid) {
  const auto group =
      ProgramGroup(only_me()).load(blueprint(), {ProgramVersion{Program("on_rename_raw")}}, [](const EventView&) {});
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().code(), errc::invalid);
}

TEST(BeforeAttach, SeesMapsAndCanRefuse) {
  GroupOptions options = only_me();
  options.before_attach = [](const LoadedGroup& group) -> Result<> {
    rename_self();  // nothing is attached yet
    const Map counters = NIGHTJAR_TRY(group.map("counters"));
    return counters.set(std::uint32_t{40}, std::uint64_t{4});
  };
  const auto group = load(ProgramVersion{Program("on_rename_raw")}, options);
  ASSERT_OK(group);
  EXPECT_EQ(group->version(), "1") << "a version without a name has its number";
  EXPECT_EQ(counter(*group->map("counters"), 40), 4U);
  EXPECT_EQ(counter(*group->map("counters"), 1), 0U);

  options.before_attach = [](const LoadedGroup&) -> Result<> { return Error(errc::busy, "not today"); };
  const auto refused = load(ProgramVersion{Program("on_rename_raw")}, options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().causes()[0].what(), "version '1': not today");
}

}  // namespace
}  // namespace nightjar::test
