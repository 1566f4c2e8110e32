// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent/settings.hpp"

namespace nightjar {
namespace {

TEST(Events_option, takes_families_and_events) {
  SensorOptions options;
  ASSERT_TRUE(select_events(split_list("process"), options, "--events"));
  EXPECT_TRUE(options.wanted.contains(Kind::fork));
  EXPECT_FALSE(options.wanted.contains(Kind::exec_failed));  // only by its own name
  EXPECT_TRUE(options.wanted.contains(Kind::events_lost));   // never filtered
  EXPECT_TRUE(options.named.empty());

  SensorOptions one;
  ASSERT_TRUE(select_events(split_list("exec,exec_failed"), one, "--events"));
  EXPECT_FALSE(one.wanted.contains(Kind::fork));
  EXPECT_EQ(one.named, (std::set<Kind>{Kind::exec, Kind::exec_failed}));
}

TEST(Events_option, names_the_nearest_for_an_unknown_one) {
  SensorOptions options;
  const auto selected = select_events(split_list("exeg"), options, "--events");
  ASSERT_FALSE(selected);
  EXPECT_EQ(selected.error().code(), errc::invalid);
  EXPECT_NE(selected.error().what().find("did you mean 'exec'?"), std::string::npos) << selected.error().what();
  EXPECT_FALSE(select_events(split_list(""), options, "--events"));
  EXPECT_FALSE(select_events(split_list(","), options, "--events"));
}

}  // namespace
}  // namespace nightjar
