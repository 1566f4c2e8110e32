// SPDX-License-Identifier: Apache-2.0
// Sessions and terminals.
#include "harness.hpp"

namespace nightjar::test {
namespace {

void check(const std::string& mode) {
  const auto watched = watch("terminal", {"@LOG", workload("report"), mode});
  SKIP_IF_TOLD(watched);
  const json& session = watched.truth("session");
  const json& event = watched.only("exec", session.at("pid").get<std::int64_t>());
  expect_same(event, watched.truth("report"));
  EXPECT_EQ(at(event, "process.session_leader.pid"), session.at("leader"));
  if (mode == "tty") {
    EXPECT_EQ(at(event, "process.tty.char_device.major"), watched.truth("tty").at("major"));
    EXPECT_EQ(at(event, "process.tty.char_device.minor"), watched.truth("tty").at("minor"));
  } else {
    EXPECT_TRUE(at(event, "process.tty").is_null()) << event;
  }
}

TEST(Session, reports_the_controlling_terminal) {
  check("tty");
}
TEST(Session, has_no_terminal_when_the_session_has_none) {
  check("none");
}

}  // namespace
}  // namespace nightjar::test
