// SPDX-License-Identifier: Apache-2.0
// What the tests of the command line share.
#pragma once

#include <algorithm>
#include <string>

#include "harness.hpp"

namespace nightjar::test {

inline Outcome nightjar(Strings arguments) {
  return run_agent({.arguments = std::move(arguments)});
}

/// `nightjar watch` with the tier of the environment.
inline Strings watch_arguments(const Strings& options, const Strings& command) {
  Strings all{"watch"};
  const auto add = [&](const Strings& more) { all.insert(all.end(), more.begin(), more.end()); };
  add(tier_options());
  add(options);
  add({"--"});
  add(command);
  return all;
}

/// One clear line on standard error that names VALUE, nothing on standard output, that status.
inline void expect_refusal(const Outcome& outcome, int status, const std::string& value) {
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find(value), std::string::npos) << "does not name " << value << ": " << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_TRUE(outcome.err.ends_with('\n'));
}

}  // namespace nightjar::test
