// SPDX-License-Identifier: Apache-2.0
// A kernel that is locked down: tests/vm/run.py --kernel 6.12-integrity --kernel 6.12-confidentiality
// --config btf/ringbuf --filter 'Lockdown.*'.
#include "harness.hpp"

namespace nightjar::test {
namespace {

bool locked_down_to(const std::string& level) {
  return read_file("/sys/kernel/security/lockdown").find("[" + level + "]") != std::string::npos;
}

TEST(Lockdown, for_integrity_hinders_nothing) {
  if (!locked_down_to("integrity")) GTEST_SKIP() << "this kernel is not locked down to integrity";
  const auto watched = watch_command({"/bin/sh", "-c", "/bin/true; exit 0"}, {.options = {"--events", "all"}});
  EXPECT_EQ(watched.stream.of("exec").size(), 2U);
  EXPECT_EQ(run_agent({.arguments = {"doctor"}}).status, 0);
}

// Reading memory of the kernel's is what it forbids, and what every program does.
TEST(Lockdown, for_confidentiality_is_refused_with_the_reason) {
  if (!locked_down_to("confidentiality")) GTEST_SKIP() << "this kernel is not locked down to confidentiality";
  Strings arguments{"watch", "--events", "process"};
  for (const auto& option : tier_options()) arguments.push_back(option);
  arguments.insert(arguments.end(), {"--", "/bin/true"});
  const auto outcome = run_agent({.arguments = arguments});
  EXPECT_EQ(outcome.status, 3) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("lock"), std::string::npos) << outcome.err;
  const auto doctor = run_agent({.arguments = {"doctor"}});
  EXPECT_EQ(doctor.status, 3) << doctor.out << doctor.err;
}

}  // namespace
}  // namespace nightjar::test
