// SPDX-License-Identifier: Apache-2.0
// --count and --duration: a stream that stops by itself is a whole stream.
#include <unistd.h>

#include "cli.hpp"

namespace nightjar::test {
namespace {

TEST(Limits, stops_after_that_many_events) {
  const auto outcome = nightjar(watch_arguments(
      {"--events", "exec", "--count", "5"}, {"/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11; do /bin/true; done"}));
  EXPECT_FALSE(outcome.timed_out);
  const auto stream = parse_stream(outcome.out, {.whole_trees = false});
  for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
  EXPECT_EQ(stream.of("exec").size(), 5U);
}

TEST(Limits, stops_after_that_many_seconds) {
  // A tree of this test's own: the test itself.
  Strings arguments{"run", "--scope", "tree:" + std::to_string(::getpid()), "--duration", "2"};
  for (const auto& option : tier_options()) arguments.push_back(option);
  const auto outcome = nightjar(arguments);
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_GE(outcome.wall.count(), 2000);
  if (!in_vm()) {
    EXPECT_LT(outcome.wall.count(), 10000);
  }
  for (const auto& problem : parse_stream(outcome.out, {.whole_trees = false}).problems) ADD_FAILURE() << problem;
}

}  // namespace
}  // namespace nightjar::test
