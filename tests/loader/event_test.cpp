// SPDX-License-Identifier: Apache-2.0
// Ring and perf buffers: delivery, order, stop and resume, loss, wakeups. Each test runs with both.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>

#include <poll.h>
#include <sched.h>

#include <linux/bpf.h>

#include "nightjar/event_source.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

struct Record {
  std::uint64_t number;
  std::uint64_t rest[7];
};

enum class Transport { ring, perf };

class Events : public testing::TestWithParam<Transport> {
 protected:
  void SetUp() override {
    // One CPU, so that one perf buffer takes all, in order.
    ASSERT_EQ(::sched_getaffinity(0, sizeof(old_), &old_), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &old_)) {
        CPU_SET(cpu, &one);
        cpu_ = cpu;
        break;
      }
    }
    ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  }
  void TearDown() override { ::sched_setaffinity(0, sizeof(old_), &old_); }

  [[nodiscard]] static bool through_perf() { return GetParam() == Transport::perf; }

  /// A group whose program sends `burst` records for each rename_self().
  void start(std::uint32_t burst, const EventSourceOptions& options = {}) {
    GroupOptions group_options = only_me();
    if (through_perf()) group_options.maps["events"].type = BPF_MAP_TYPE_PERF_EVENT_ARRAY;
    group_options.maps["events"].max_entries = 1U << 16;
    auto loaded =
        load(ProgramVersion("v", {Program("send_burst")}).set("burst", burst).set("through_perf", through_perf()),
             group_options);
    ASSERT_OK(loaded);
    group_.emplace(std::move(*loaded));
    const auto map = group_->map("events");
    ASSERT_OK(map);
    EXPECT_EQ(map->type(), through_perf() ? BPF_MAP_TYPE_PERF_EVENT_ARRAY : BPF_MAP_TYPE_RINGBUF);
    auto source = EventSource::open(*map, options);
    ASSERT_OK(source);
    source_.emplace(std::move(*source));
    EXPECT_EQ(source_->is_ring_buffer(), !through_perf());
  }

  /// Reads until none is left or `most` were read.
  std::vector<std::uint64_t> read(std::size_t most = SIZE_MAX) {
    std::vector<std::uint64_t> numbers;
    const auto given = source_->consume([&](const EventView& event) {
      EXPECT_EQ(event.map, "events");
      if (event.lost != 0) {
        told_lost_ += event.lost;
        return Visit::go_on;
      }
      EXPECT_GE(event.bytes.size(), sizeof(Record));
      EXPECT_LT(event.bytes.size(), sizeof(Record) + 8);
      EXPECT_EQ(event.cpu.has_value(), through_perf());
      EXPECT_EQ(event.cpu.value_or(cpu_), cpu_);
      Record record{};
      std::memcpy(&record, event.bytes.data(), sizeof(record));
      numbers.push_back(record.number);
      return numbers.size() < most ? Visit::go_on : Visit::stop;
    });
    EXPECT_OK(given);
    EXPECT_EQ(given.value_or(0), numbers.size());
    return numbers;
  }

  [[nodiscard]] bool is_readable(int timeout_ms) const {
    pollfd poll{.fd = source_->fd(), .events = POLLIN, .revents = 0};
    return ::poll(&poll, 1, timeout_ms) == 1;
  }

  static std::vector<std::uint64_t> numbers(std::uint64_t from, std::uint64_t to) {
    std::vector<std::uint64_t> all;
    for (; from <= to; ++from) all.push_back(from);
    return all;
  }

  std::uint64_t told_lost_ = 0;
  cpu_set_t old_{};
  unsigned cpu_ = 0;
  std::optional<LoadedGroup> group_;
  std::optional<EventSource> source_;
};

TEST_P(Events, AllInOrder) {
  start(10);
  EXPECT_EQ(read(), numbers(1, 0)) << "nothing is there yet";
  for (int i = 0; i < 5; ++i) rename_self();
  EXPECT_EQ(read(), numbers(1, 50));
  EXPECT_EQ(read(), numbers(1, 0));
  EXPECT_EQ(source_->lost(), 0U);
}

TEST_P(Events, StopNeitherLosesNorRepeats) {
  start(100);
  rename_self();
  EXPECT_EQ(read(1), numbers(1, 1));
  EXPECT_EQ(read(3), numbers(2, 4));
  rename_self();
  EXPECT_EQ(read(96), numbers(5, 100)) << "stopped at the last of the first burst";
  EXPECT_EQ(read(), numbers(101, 200));
  EXPECT_EQ(read(), numbers(1, 0));
}

TEST_P(Events, GoesRoundTheBufferManyTimes) {
  // 64 KiB are some 900 records; the buffer is gone round about eight times, with stops in the middle.
  start(100, {.bytes_per_cpu = 1U << 16});
  std::uint64_t next = 1;
  for (int round = 0; round < 80; ++round) {
    rename_self();
    for (const std::size_t most : {std::size_t{37}, std::size_t{SIZE_MAX}}) {
      for (const std::uint64_t number : read(most)) ASSERT_EQ(number, next++);
    }
  }
  EXPECT_EQ(next, 8001U);
  EXPECT_EQ(source_->lost(), 0U);
}

TEST_P(Events, AFullBufferDropsTheNewest) {
  start(4000, {.bytes_per_cpu = 1U << 16});
  rename_self();
  const auto first = read();
  ASSERT_GT(first.size(), 500U);
  ASSERT_LT(first.size(), 4000U);
  EXPECT_EQ(first, numbers(1, first.size()));
  rename_self();  // the kernel tells of a loss in front of the next record that fits
  const auto second = read();
  ASSERT_FALSE(second.empty());
  EXPECT_EQ(second.front(), 4001U);
  if (through_perf()) {
    EXPECT_EQ(source_->lost(), told_lost_);
    EXPECT_GE(source_->lost(), 4000U - first.size());
    EXPECT_LE(source_->lost(), 8000U - first.size() - second.size());
  } else {
    EXPECT_EQ(source_->lost(), 0U) << "a ring buffer's program counts by itself";
  }
}

TEST_P(Events, WakesTheReader) {
  start(10, {.bytes_per_cpu = 1U << 16, .wakeup_bytes = 64});
  EXPECT_FALSE(is_readable(0));
  rename_self();
  EXPECT_TRUE(is_readable(1000));
  EXPECT_EQ(read().size(), 10U);
}

TEST_P(Events, PerfWakesLateByDefault) {
  start(1);
  rename_self();
  // One record is far from half of the perf buffer; a ring buffer's program wakes for each.
  EXPECT_EQ(is_readable(20), !through_perf());
  EXPECT_EQ(read().size(), 1U) << "it is there all the same";
}

TEST_P(Events, OutlivesTheGroup) {
  start(10);
  rename_self();
  group_.reset();
  EXPECT_EQ(read(), numbers(1, 10));
}

TEST_P(Events, CanBeMoved) {
  start(10);
  EventSource moved = std::move(*source_);
  source_.emplace(std::move(moved));
  rename_self();
  EXPECT_EQ(read(), numbers(1, 10));
}

TEST_P(Events, CapacityIsTold) {
  start(1, {.bytes_per_cpu = 100000});
  if (through_perf()) {
    EXPECT_EQ(source_->capacity(), source_->buffers().size() << 17U) << "rounded up to a power of two";
    EXPECT_NE(source_->rounding().find("asked for 100000 bytes for each CPU, took 131072"), std::string::npos)
        << source_->rounding();
  } else {
    EXPECT_EQ(source_->capacity(), 1U << 16);
  }
}

TEST_P(Events, ATotalIsSharedAndNeverExceeded) {
  start(1, {.bytes_in_total = 1000000});
  if (!through_perf()) return;
  EXPECT_LE(source_->capacity(), 1000000U);
  EXPECT_GT(source_->capacity(), 250000U);
  EXPECT_NE(source_->rounding(), "");
}

TEST_P(Events, TooSmallATotalStillGivesEachCpuAPage) {
  start(1, {.bytes_in_total = 1});
  if (!through_perf()) return;
  EXPECT_EQ(source_->capacity(), source_->buffers().size() * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
}

INSTANTIATE_TEST_SUITE_P(Both, Events, testing::Values(Transport::ring, Transport::perf),
                         [](const auto& param) { return param.param == Transport::ring ? "ring" : "perf"; });

TEST(EventSourceOpen, OtherMapsAreInvalid) {
  const auto loaded = load(ProgramVersion("v", {Program("on_rename_raw")}));
  ASSERT_OK(loaded);
  const auto counters = loaded->map("counters");
  ASSERT_OK(counters);
  EXPECT_EQ(EventSource::open(*counters).error().code(), errc::invalid);
}

TEST(EventSourceOpen, ARingBufferSizeIsRoundedAndTold) {
  GroupOptions options = only_me();
  options.maps["events"].max_entries = 100000;
  const auto loaded = load(ProgramVersion("v", {Program("send_burst")}), options);
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->map("events")->max_entries(), 131072U);
  ASSERT_EQ(loaded->remarks().size(), 1U);
  EXPECT_NE(loaded->remarks()[0].find("asked for 100000 bytes, took 131072"), std::string::npos);
}

/// A CPU that can be taken away: the guests have one.
TEST(EventSourceCpus, ACpuThatComesOnlineIsRead) {
  const std::string control = "/sys/devices/system/cpu/cpu1/online";
  const auto state = file_bytes(control);
  if (::getenv("NIGHTJAR_TEST_WHOLE_MACHINE") == nullptr) {
    GTEST_SKIP() << "takes a CPU of the whole machine away: only where NIGHTJAR_TEST_WHOLE_MACHINE is set (in guests)";
  }
  if (state.empty()) GTEST_SKIP() << "there is no second CPU that can be unplugged";
  std::ofstream(control) << "0" << std::flush;
  GroupOptions options = only_me();
  options.maps["events"].type = BPF_MAP_TYPE_PERF_EVENT_ARRAY;
  const auto loaded =
      load(ProgramVersion("v", {Program("send_burst")}).set("burst", 3U).set("through_perf", true), options);
  ASSERT_OK(loaded);
  auto source = EventSource::open(*loaded->map("events"));
  ASSERT_OK(source);
  const std::size_t before = source->buffers().size();
  std::ofstream(control) << "1" << std::flush;
  EXPECT_EQ(source->follow_cpus().value_or(99), 1U);
  EXPECT_EQ(source->buffers().size(), before + 1);
  cpu_set_t second;
  CPU_ZERO(&second);
  CPU_SET(1, &second);
  cpu_set_t old;
  ::sched_getaffinity(0, sizeof(old), &old);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(second), &second), 0);
  rename_self();
  ::sched_setaffinity(0, sizeof(old), &old);
  std::size_t from_second = 0;
  EXPECT_OK(source->consume([&](const EventView& event) {
    from_second += event.cpu == 1U ? 1 : 0;
    return Visit::go_on;
  }));
  EXPECT_EQ(from_second, 3U);
}

TEST(EventSourceOpen, HugePerfBufferIsInvalid) {
  GroupOptions options = only_me();
  options.maps["events"].type = BPF_MAP_TYPE_PERF_EVENT_ARRAY;
  const auto loaded = load(ProgramVersion("v", {Program("send_burst")}).set("through_perf", true), options);
  ASSERT_OK(loaded);
  EXPECT_EQ(EventSource::open(*loaded->map("events"), {.bytes_per_cpu = std::size_t{1} << 40}).error().code(),
            errc::invalid);
}

}  // namespace
}  // namespace nightjar::test
