// SPDX-License-Identifier: Apache-2.0
// Without privileges: which one is missing, in one line.
#include <unistd.h>

#include "cli.hpp"

namespace nightjar::test {
namespace {

TEST(Privileges, names_the_missing_capability) {
  if (::geteuid() != 0) GTEST_SKIP() << "these tests do not run as root";
  const auto outcome = run_agent({.arguments = watch_arguments({}, {"/bin/true"}), .unprivileged = true});
  if (outcome.status == 124) GTEST_SKIP() << "uid 65534 cannot execute the agent where it lies";
  EXPECT_TRUE(outcome.status == 1 || outcome.status == 3) << outcome.status;
  EXPECT_NE(outcome.err.find("CAP_"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

// What needs no privilege works without.
TEST(Privileges, are_not_needed_to_list_events) {
  const auto outcome = run_agent({.arguments = {"events", "--json"}, .unprivileged = true});
  if (outcome.status == 124) GTEST_SKIP() << "uid 65534 cannot execute the agent where it lies";
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST(Privileges, missing_are_told_by_doctor) {
  if (::geteuid() != 0) GTEST_SKIP() << "these tests do not run as root";
  const auto outcome = run_agent({.arguments = {"doctor"}, .unprivileged = true});
  if (outcome.status == 124) GTEST_SKIP() << "uid 65534 cannot execute the agent where it lies";
  EXPECT_NE((outcome.out + outcome.err).find("CAP_"), std::string::npos) << outcome.out << outcome.err;
}

}  // namespace
}  // namespace nightjar::test
