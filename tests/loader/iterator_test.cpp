// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <latch>
#include <thread>

#include <sys/syscall.h>

#include "support.hpp"

namespace nightjar::test {
namespace {

struct Task {
  std::uint32_t pid, tgid;
};

std::vector<Task> tasks(const std::vector<std::byte>& bytes) {
  std::vector<Task> all(bytes.size() / sizeof(Task));
  std::memcpy(all.data(), bytes.data(), all.size() * sizeof(Task));
  return all;
}

TEST(Iterator, ListsThisProcessOnly) {
  NEEDS(task_iterator);
  const auto loaded = load(ProgramVersion("v", {Program("dump_task")}));
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->programs()[0].hook, "iter/task");
  const auto pid = static_cast<std::uint32_t>(::getpid());
  for (int round = 0; round < 2; ++round) {  // each read is a run of its own
    const auto bytes = loaded->read_iterator("dump_task");
    ASSERT_OK(bytes);
    ASSERT_EQ(bytes->size(), sizeof(Task));
    EXPECT_EQ(tasks(*bytes)[0].pid, pid);
    EXPECT_EQ(tasks(*bytes)[0].tgid, pid);
  }
}

TEST(Iterator, SeesThreads) {
  NEEDS(task_iterator);
  const auto loaded = load(ProgramVersion("v", {Program("dump_task")}));
  ASSERT_OK(loaded);
  std::latch started(1);
  std::latch done(1);
  std::uint32_t thread_id = 0;
  std::jthread thread([&] {
    thread_id = static_cast<std::uint32_t>(::syscall(SYS_gettid));
    started.count_down();
    done.wait();
  });
  started.wait();
  const auto bytes = loaded->read_iterator("dump_task");
  done.count_down();
  ASSERT_OK(bytes);
  const auto all = tasks(*bytes);
  EXPECT_EQ(all.size(), 2U);
  EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const Task& task) { return task.pid == thread_id; }));
}

TEST(Iterator, OtherProgramsAreNone) {
  const auto loaded = load(ProgramVersion("v", {Program("on_rename_raw")}));
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->read_iterator("on_rename_raw").error().code(), errc::invalid);
  EXPECT_EQ(loaded->read_iterator("dump_task").error().code(), errc::not_found);
}

}  // namespace
}  // namespace nightjar::test
