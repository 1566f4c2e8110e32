// SPDX-License-Identifier: Apache-2.0
// unshare, setns, both mount interfaces, pivot_root, chroot: numbers as /proc/PID/ns has them, paths as the mount
// namespace has them, nothing of what failed. L9, L24; seed-inventory D.2 "Namespaces".
#include "told.hpp"

namespace nightjar::test {
namespace {

const Strings actions{"unshare", "setns", "mount", "umount", "move_mount", "pivot_root", "chroot"};

class NamespaceFamily : public testing::TestWithParam<const char*> {};
TEST_P(NamespaceFamily, tells_each_call_that_worked) {
  const auto watched =
      watch("namespace_calls", {"@LOG", "@DIR", GetParam()}, {.options = {"--events", "process,namespace"}});
  SKIP_IF_TOLD(watched);
  EXPECT_FALSE(watched.truths("told").empty());
  expect_told(watched, actions);
}
INSTANTIATE_TEST_SUITE_P(Of, NamespaceFamily,
                         testing::Values("unshare", "setns", "mount", "new_api", "pivot", "chroot"),
                         [](const auto& one) { return std::string(one.param); });

std::uint64_t number_in(const std::string& link) {
  const auto bracket = link.find('[');
  return bracket == std::string::npos ? 0 : std::stoull(link.substr(bracket + 1));
}

// The tools that people use. The numbers are those that the shells inside read themselves.
TEST(NamespaceTools, unshare_and_nsenter_enter_what_they_say) {
  const TempDir place;
  const std::string script = "unshare -Urnpf readlink /proc/self/ns/net > " + (place / "unshared") +
                             "; unshare -n sleep 30 & holder=$!; sleep 1; nsenter -t $holder -n readlink " +
                             "/proc/self/ns/net > " + (place / "entered") + "; kill $holder";
  const auto watched = watch_command({"/bin/sh", "-c", script}, {.options = {"--events", "process,namespace"}});
  const auto unshares = watched.stream.of("unshare");
  const auto enters = watched.stream.of("setns");
  ASSERT_EQ(unshares.size(), 2U);
  ASSERT_EQ(enters.size(), 1U);
  for (const auto* flag : {"CLONE_NEWUSER", "CLONE_NEWNET", "CLONE_NEWPID"}) {
    EXPECT_TRUE(has_element(at(unshares[0], "nightjar.clone.flags"), flag)) << unshares[0];
  }
  EXPECT_EQ(at(unshares[0], "nightjar.ns.net"), number_in(read_file(place / "unshared")));
  EXPECT_NE(at(unshares[0], "nightjar.ns.user"), at(unshares[0], "nightjar.ns_before.user"));
  EXPECT_EQ(at(enters[0], "nightjar.ns.net"), number_in(read_file(place / "entered")));
  EXPECT_EQ(at(enters[0], "nightjar.ns.net"), at(unshares[1], "nightjar.ns.net"));
  EXPECT_EQ(at(enters[0], "nightjar.ns_before.net"), at(unshares[1], "nightjar.ns_before.net"));
}

TEST(NamespaceTools, ip_netns_exec_enters_what_it_says) {
  const TempDir place;
  if (std::system("ip netns list >/dev/null 2>&1") != 0) GTEST_SKIP() << "no ip(8) that knows netns (iproute2's does)";
  // Names of network namespaces are files in /run/netns: ours are in a /run of our own.
  const std::string script =
      "mount -t tmpfs none /run && ip netns add nightjar && ip netns exec nightjar readlink "
      "/proc/self/ns/net > " +
      (place / "entered");
  const auto watched =
      watch_command({"unshare", "-mn", "/bin/sh", "-c", script}, {.options = {"--events", "process,namespace"}});
  const std::uint64_t entered = number_in(read_file(place / "entered"));
  int count = 0;
  for (const auto& event : watched.stream.of("setns")) {
    if (text_at(event, "process.command_line").find("netns exec") == std::string::npos) continue;
    count++;
    EXPECT_EQ(at(event, "nightjar.ns.net"), entered) << event;
    EXPECT_NE(at(event, "nightjar.ns_before.net"), entered) << event;
  }
  EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace nightjar::test
