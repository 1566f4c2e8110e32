// SPDX-License-Identifier: Apache-2.0
// Ends of processes: exactly one each, with the right code or signal, at the right time. P3.
#include "harness.hpp"

namespace nightjar::test {
namespace {

constexpr std::int64_t millisecond = 1'000'000;

json checked_exit(const Watched& watched) {
  const json& end = watched.truth("end");
  if (!end.is_object()) return nullptr;
  const json event = watched.only("exit", end.at("pid").get<std::int64_t>());
  if (end.contains("code")) {
    EXPECT_EQ(at(event, "process.exit_code"), end.at("code"));
    EXPECT_TRUE(at(event, "nightjar.exit.signal").is_null()) << event;
  } else {
    EXPECT_EQ(at(event, "nightjar.exit.signal"), end.at("signal"));
    EXPECT_TRUE(at(event, "process.exit_code").is_null()) << event;
    EXPECT_EQ(at(event, "nightjar.exit.core_dumped"), end.at("core"));
  }
  EXPECT_EQ(at(event, "process.parent.pid"), end.at("ppid"));
  // Before its parent could learn of it.
  EXPECT_LE(nanoseconds(text_at(event, "@timestamp")), end.at("at").get<std::int64_t>() + 5 * millisecond);
  return event;
}

json ending(const std::string& mode) {
  return checked_exit(watch("ending", {"@LOG", mode}));
}

TEST(Exit, has_code_0_when_main_returns) {
  EXPECT_EQ(at(ending("return_0"), "process.exit_code"), 0);
}
TEST(Exit, has_code_255) {
  EXPECT_EQ(at(ending("return_255"), "process.exit_code"), 255);
}
TEST(Exit, has_the_low_8_bits_of_a_wide_code) {
  EXPECT_EQ(at(ending("exit_wide"), "process.exit_code"), 0x34);
}

TEST(Exit, one_event_when_worker_thread_calls_exit_group) {
  EXPECT_EQ(at(ending("worker_exit_group"), "process.exit_code"), 41);
}
TEST(Exit, one_event_when_a_process_of_32_threads_is_killed) {
  EXPECT_EQ(at(ending("kill_threads"), "nightjar.exit.signal"), 9);
}

// The leader is gone 400 ms before the process is.
void expect_end_with_last_thread(const std::string& mode) {
  const auto watched = watch("ending", {"@LOG", mode});
  const json event = checked_exit(watched);
  EXPECT_GE(nanoseconds(text_at(event, "@timestamp")),
            watched.truth("last").at("at").get<std::int64_t>() - millisecond);
}
TEST(Exit, comes_with_the_last_thread_when_main_calls_pthread_exit) {
  expect_end_with_last_thread("leader_first_exit");
}
TEST(Exit, comes_with_the_last_thread_when_all_threads_return) {
  expect_end_with_last_thread("leader_first_threads_return");
}

TEST(Exit, has_signal_9_when_killed) {
  EXPECT_EQ(at(ending("sigkill"), "nightjar.exit.signal"), 9);
}
TEST(Exit, has_signal_15_when_terminated) {
  EXPECT_EQ(at(ending("sigterm"), "nightjar.exit.signal"), 15);
}
TEST(Exit, has_signal_64) {
  EXPECT_EQ(at(ending("realtime_signal"), "nightjar.exit.signal"), 64);
}
TEST(Exit, has_signal_6_when_aborted) {
  EXPECT_EQ(at(ending("sigabrt"), "nightjar.exit.signal"), 6);
}
TEST(Exit, has_signal_31_when_seccomp_kills) {
  EXPECT_EQ(at(ending("seccomp"), "nightjar.exit.signal"), 31);
}

TEST(Exit, dumps_no_core_when_the_limit_is_0) {
  const json event = ending("sigsegv");
  EXPECT_EQ(at(event, "nightjar.exit.signal"), 11);
  EXPECT_EQ(at(event, "nightjar.exit.core_dumped"), false);
}

TEST(Exit, tells_that_a_core_was_dumped) {
  // The core file goes to the working directory: a temporary one.
  const TempDir temp;
  const std::string log = temp / "log";
  const auto watched = watch_command(
      {"/bin/sh", "-c", "cd \"$1\" && exec \"$2\" \"$3\" sigsegv_core", "sh", temp.path(), workload("ending"), log});
  const std::string text = read_file(log);
  if (text.find("\"t\":\"skip\"") != std::string::npos) GTEST_SKIP() << text;
  const json end = json::parse(text, nullptr, false);
  ASSERT_TRUE(end.is_object()) << text << watched.outcome.err;
  if (end.at("core") == false) GTEST_SKIP() << "the kernel dumped no core here";
  const json& event = watched.only("exit", end.at("pid").get<std::int64_t>());
  EXPECT_EQ(at(event, "nightjar.exit.signal"), 11);
  EXPECT_EQ(at(event, "nightjar.exit.core_dumped"), true);
}

// Within two ticks of 10 ms and 5 %: wait4(2) rounds, and the exit itself takes time.
void expect_close(const json& told, const json& truth, const char* what) {
  ASSERT_TRUE(told.is_number()) << what;
  EXPECT_NEAR(told.get<double>(), truth.get<double>(), 20e6 + 0.05 * truth.get<double>()) << what;
}

TEST(Exit, accounts_for_processor_time_memory_and_bytes) {
  const auto watched = watch("resources", {"@LOG", "@DIR"}, {.timeout = patience(60)});
  const json event = checked_exit(watched);
  const json& end = watched.truth("end");
  // The kernel may share a process's time out otherwise between user and system; the sum is measured.
  const auto sum = [](const json& user, const json& system) { return json(user.get<double>() + system.get<double>()); };
  ASSERT_TRUE(at(event, "nightjar.exit.user_ns").is_number() && at(event, "nightjar.exit.system_ns").is_number())
      << event;
  expect_close(sum(at(event, "nightjar.exit.user_ns"), at(event, "nightjar.exit.system_ns")),
               sum(end.at("user_ns"), end.at("system_ns")), "CPU time");
  ASSERT_TRUE(at(event, "nightjar.exit.max_rss_kb").is_number());
  const double rss = end.at("max_rss_kb").get<double>();
  EXPECT_NEAR(at(event, "nightjar.exit.max_rss_kb").get<double>(), rss, 512 + 0.05 * rss);
  // Bytes that went to and from storage: the write is counted when pages get dirty, not on a tmpfs.
  EXPECT_TRUE(at(event, "nightjar.exit.read_bytes").is_number()) << event;
  EXPECT_TRUE(at(event, "nightjar.exit.write_bytes").is_number()) << event;
}

}  // namespace
}  // namespace nightjar::test
