// SPDX-License-Identifier: Apache-2.0
// Wrong usage: status 2, one line, the wrong value named.
#include "cli.hpp"

namespace nightjar::test {
namespace {

TEST(Usage, refuses_an_unknown_command) {
  expect_refusal(nightjar({"wacth", "--", "/bin/true"}), 2, "wacth");
}
TEST(Usage, refuses_an_unknown_option) {
  expect_refusal(nightjar({"watch", "--frobnicate", "--", "/bin/true"}), 2, "--frobnicate");
}
TEST(Usage, refuses_an_unknown_option_of_run) {
  expect_refusal(nightjar({"run", "--frobnicate"}), 2, "--frobnicate");
}
TEST(Usage, refuses_an_unknown_event) {
  expect_refusal(nightjar({"watch", "--events", "exec,exce", "--", "/bin/true"}), 2, "exce");
}
TEST(Usage, refuses_an_empty_list_of_events) {
  expect_refusal(nightjar({"watch", "--events", "", "--", "/bin/true"}), 2, "--events");
}
TEST(Usage, refuses_an_unknown_tier) {
  expect_refusal(nightjar({"watch", "--program-tier", "btff", "--", "/bin/true"}), 2, "btff");
}
TEST(Usage, refuses_an_unknown_transport) {
  expect_refusal(nightjar({"watch", "--transport", "pigeon", "--", "/bin/true"}), 2, "pigeon");
}
TEST(Usage, refuses_an_unknown_format) {
  expect_refusal(nightjar({"watch", "--format", "xml", "--", "/bin/true"}), 2, "xml");
}
TEST(Usage, refuses_an_unknown_feature) {
  expect_refusal(nightjar({"watch", "--without", "ring_bufer", "--", "/bin/true"}), 2, "ring_bufer");
}
TEST(Usage, refuses_an_unknown_output) {
  expect_refusal(nightjar({"watch", "--output", "carrier:pigeon", "--", "/bin/true"}), 2, "carrier:pigeon");
}
TEST(Usage, refuses_an_unknown_scope) {
  expect_refusal(nightjar({"run", "--scope", "planet:earth"}), 2, "planet:earth");
}
TEST(Usage, refuses_a_scope_that_is_no_pid) {
  expect_refusal(nightjar({"run", "--scope", "tree:abc"}), 2, "abc");
}
TEST(Usage, refuses_a_count_that_is_no_number) {
  expect_refusal(nightjar({"watch", "--count", "many", "--", "/bin/true"}), 2, "many");
}
TEST(Usage, refuses_a_negative_duration) {
  expect_refusal(nightjar({"watch", "--duration", "-3", "--", "/bin/true"}), 2, "-3");
}
TEST(Usage, refuses_a_buffer_that_is_no_number) {
  expect_refusal(nightjar({"watch", "--buffer", "big", "--", "/bin/true"}), 2, "big");
}
TEST(Usage, refuses_an_option_without_its_value) {
  expect_refusal(nightjar({"watch", "--events"}), 2, "--events");
}
TEST(Usage, refuses_watch_without_a_command) {
  expect_refusal(nightjar({"watch"}), 2, "COMMAND");
}
TEST(Usage, refuses_watch_without_a_command_after_the_dashes) {
  expect_refusal(nightjar({"watch", "--"}), 2, "COMMAND");
}

// A mistake, told on stderr.
TEST(Usage, refuses_no_arguments_at_all) {
  const auto outcome = nightjar({});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_FALSE(outcome.err.empty());
}

TEST(Usage, tells_how_it_is_used_when_asked) {
  const auto outcome = nightjar({"--help"});
  EXPECT_EQ(outcome.status, 0);
  for (const auto* word : {"watch", "run", "doctor", "events", "version"}) {
    EXPECT_NE(outcome.out.find(word), std::string::npos) << word;
  }
}

}  // namespace
}  // namespace nightjar::test
