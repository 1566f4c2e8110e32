// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <initializer_list>
#include <iostream>

#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "nightjar/features.hpp"
#include "nightjar/privileges.hpp"
#include "support.hpp"
#include "tracefs.hpp"

namespace nightjar::test {
namespace {

TEST(Privileges, TheTestHasThem) {
  EXPECT_OK(check_privileges());
}

/// Runs `check` in a child that keeps only `kept` of its capabilities; true when it says so.
bool in_child_with(std::initializer_list<unsigned> kept, bool (*check)()) {
  const pid_t child = ::fork();
  if (child == 0) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
    for (const unsigned capability : kept) {
      data.at(capability / 32).effective |= 1U << (capability % 32);
      data.at(capability / 32).permitted |= 1U << (capability % 32);
    }
    if (::syscall(SYS_capset, &header, data.data()) != 0) ::_exit(2);
    ::_exit(check() ? 0 : 1);
  }
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool lacks(std::string_view text) {
  const auto checked = check_privileges();
  if (!checked && checked.error().code() == errc::denied && checked.error().what() == text) return true;
  std::cerr << (checked ? "not denied" : checked.error().what()) << '\n';
  return false;
}

TEST(Privileges, MissingOnesAreNamed) {
  EXPECT_TRUE(in_child_with({}, [] { return lacks("missing CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)"); }));
  EXPECT_TRUE(in_child_with({CAP_BPF}, [] { return lacks("missing CAP_PERFMON (or CAP_SYS_ADMIN)"); }));
  EXPECT_TRUE(in_child_with({CAP_PERFMON}, [] { return lacks("missing CAP_BPF (or CAP_SYS_ADMIN)"); }));
  EXPECT_TRUE(in_child_with({CAP_BPF, CAP_PERFMON}, [] { return check_privileges().has_value(); }));
  EXPECT_TRUE(in_child_with({CAP_SYS_ADMIN}, [] { return check_privileges().has_value(); }));
}

TEST(Privileges, WithoutThemAGroupIsDenied) {
  EXPECT_TRUE(in_child_with({}, [] {
    const auto loaded = load(ProgramVersion("v", {Program("on_rename_raw")}));
    if (!loaded && loaded.error().code() == errc::denied &&
        to_string(loaded.error()).find("CAP_BPF and CAP_PERFMON") != std::string::npos) {
      return true;
    }
    std::cerr << (loaded ? "loaded" : to_string(loaded.error())) << '\n';
    return false;
  }));
}

TEST(Privileges, WithoutThemAProbeCannotTell) {
  EXPECT_TRUE(in_child_with({}, [] {
    Features features;
    return features.ask(Feature::bpf).answer == Answer::unknown && features.ask(Feature::fentry).answer != Answer::yes;
  }));
}

TEST(FeatureProbes, EveryOneIsAnswered) {
  Features features;
  for (std::size_t i = 0; i < feature_count; ++i) {
    const auto feature = static_cast<Feature>(i);
    const FeatureAnswer& answer = features.ask(feature);
    EXPECT_NE(answer.answer, Answer::unknown) << to_string(feature) << ": " << answer.why;
    EXPECT_EQ(answer.why.empty(), answer.answer == Answer::yes) << to_string(feature) << ": " << answer.why;
    RecordProperty(std::string(to_string(feature)), answer.answer == Answer::yes ? "yes" : "no: " + answer.why);
  }
}

TEST(FeatureProbes, WhatTheseTestsCannotDoWithout) {
  Features features;
  EXPECT_TRUE(features.has(Feature::bpf)) << features.ask(Feature::bpf).why;
  EXPECT_TRUE(features.has(Feature::perf_buffer)) << features.ask(Feature::perf_buffer).why;
}

TEST(FeatureProbes, AnswersAreRemembered) {
  Features features;
  const FeatureAnswer* first = &features.ask(Feature::tp_btf);
  EXPECT_EQ(first, &features.ask(Feature::tp_btf));
}

TEST(FeatureProbes, PretendingBeatsTheKernelEvenForSharedProbes) {
  Features features({Feature::tp_btf});
  (void)features.ask(Feature::fentry);  // answers tp_btf too, if not told otherwise
  EXPECT_FALSE(features.has(Feature::tp_btf));
  EXPECT_EQ(features.ask(Feature::tp_btf).why, "told to pretend");
}

TEST(PrivateTracefs, FindsTracepointsAndChangesNoMount) {
  const auto before = file_bytes("/proc/self/mountinfo");
  {
    const auto tracefs = Tracefs::open_private();
    ASSERT_OK(tracefs);
    const auto id = tracefs->event_id("task/task_rename");
    ASSERT_OK(id);
    EXPECT_GT(*id, 0U);
    EXPECT_EQ(file_bytes("/proc/self/mountinfo"), before);
  }
  EXPECT_EQ(file_bytes("/proc/self/mountinfo"), before);
}

TEST(PrivateTracefs, RefusesNamesThatAreNoTracepoints) {
  const auto tracefs = Tracefs::open();
  ASSERT_OK(tracefs);
  EXPECT_EQ(tracefs->event_id("task/no_such_tracepoint").error().code(), errc::not_found);
  for (const char* name : {"", "task", "/", "task/", "/task_rename", "task/task_rename/x", "../events", "task/.."}) {
    const auto refused = tracefs->event_id(name);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code(), errc::invalid) << name;
  }
}

}  // namespace
}  // namespace nightjar::test
