// SPDX-License-Identifier: Apache-2.0
// New processes, by every way of making them; threads are none. P12, P13, P14, P15, P27.
#include <set>

#include "harness.hpp"

namespace nightjar::test {
namespace {

Watched clones(const std::string& mode) {
  return watch("clones", {"@LOG", workload("report"), mode});
}

std::size_t position(const Watched& watched, const std::string& action, const json& pid) {
  const auto& events = watched.stream.events;
  for (std::size_t i = 0; i < events.size(); i++) {
    if (at(events[i], "process.pid") == pid && action_of(events[i]) == action) return i;
  }
  return events.size();
}

json checked_fork(const Watched& watched, const json& child) {
  const json event = watched.only("fork", child.at("pid").get<std::int64_t>());
  EXPECT_EQ(at(event, "process.parent.pid"), child.at("ppid"));
  EXPECT_EQ(at(event, "process.thread.id"), child.at("pid"));
  expect_same(watched.only("exec", child.at("pid").get<std::int64_t>()), watched.truth("report"));
  return event;
}

std::set<std::string> flags_of(const json& event) {
  std::set<std::string> flags;
  for (const auto& one : at(event, "nightjar.clone.flags")) flags.insert(one.get<std::string>());
  return flags;
}

// P13
TEST(Fork, has_no_event_when_threads_are_created) {
  const int count = scaled(1009, 101);
  const auto watched = watch("threads", {"@LOG", std::to_string(count)});
  EXPECT_EQ(watched.truth("threads").at("count"), count);
  const auto pid = watched.truth("threads").at("pid").get<std::int64_t>();
  for (const auto& event : watched.stream.of("fork")) EXPECT_EQ(at(event, "process.pid"), pid) << event;
  EXPECT_EQ(watched.stream.of("exit").size(), 1U);
  EXPECT_EQ(at(watched.only("exit", pid), "process.exit_code"), 0);
}

// P15
TEST(Fork, is_told_from_threads_that_are_created_at_the_same_time) {
  const auto watched = watch("threads", {"@LOG", std::to_string(scaled(1009, 101)), "53"});
  const auto children = watched.truths("child");
  ASSERT_EQ(children.size(), 53U);
  for (const auto& child : children) {
    const auto pid = child.at("pid").get<std::int64_t>();
    EXPECT_EQ(at(watched.only("fork", pid), "process.parent.pid"), child.at("ppid"));
    EXPECT_EQ(at(watched.only("exit", pid), "process.exit_code"), 3);
  }
}

// P15: the parent is the caller's parent; the caller is told apart.
TEST(Fork, names_the_creator_when_clone_parent_makes_a_sibling) {
  const auto watched = clones("clone_parent");
  const json& sibling = watched.truth("sibling");
  const json event = checked_fork(watched, sibling);
  EXPECT_EQ(at(event, "nightjar.clone.creator_pid"), sibling.at("creator"));
  EXPECT_TRUE(flags_of(event).contains("CLONE_PARENT")) << event;
}

// P27
TEST(Fork, precedes_the_exec_when_vfork_suspends_the_parent) {
  const auto watched = clones("vfork");
  const json& child = watched.truth("child");
  const json event = checked_fork(watched, child);
  EXPECT_TRUE(flags_of(event).contains("CLONE_VFORK") && flags_of(event).contains("CLONE_VM")) << event;
  EXPECT_TRUE(at(event, "nightjar.clone.creator_pid").is_null());
  EXPECT_LT(position(watched, "fork", child.at("pid")), position(watched, "exec", child.at("pid")));
  EXPECT_LT(position(watched, "exec", child.at("pid")), position(watched, "exit", child.at("pid")));
}

TEST(Fork, names_the_flags_of_clone3) {
  const auto watched = clones("clone3");
  SKIP_IF_TOLD(watched);
  const json event = checked_fork(watched, watched.truth("child"));
  EXPECT_EQ(flags_of(event), (std::set<std::string>{"CLONE_FS", "CLONE_FILES"}));
}

TEST(Fork, names_the_flags_of_clone) {
  const auto watched = clones("raw_flags");
  const json event = checked_fork(watched, watched.truth("child"));
  EXPECT_EQ(flags_of(event), (std::set<std::string>{"CLONE_FS", "CLONE_FILES", "CLONE_SYSVSEM", "CLONE_IO"}));
}

// P14
TEST(Fork, has_no_event_when_clone_fails) {
  const auto watched = clones("fails");
  ASSERT_EQ(watched.truths("failed").size(), 4U);
  checked_fork(watched, watched.truth("child"));
  // COMMAND (perhaps), the process that met RLIMIT_NPROC, and the one that succeeded.
  const std::set<std::int64_t> known{watched.truth("limited").at("pid").get<std::int64_t>(),
                                     watched.truth("limited").at("ppid").get<std::int64_t>(),
                                     watched.truth("child").at("pid").get<std::int64_t>()};
  for (const auto& event : watched.stream.of("fork")) {
    EXPECT_TRUE(known.contains(at(event, "process.pid").get<std::int64_t>())) << event;
  }
}

TEST(Fork, keeps_an_orphan_in_sight) {
  const auto watched = watch("clones", {"@LOG", workload("report"), "orphan"});
  const json& orphan = watched.truth("orphan");
  const json& report = watched.truth("report");
  const auto pid = orphan.at("pid").get<std::int64_t>();
  EXPECT_EQ(at(watched.only("fork", pid), "process.parent.pid"), orphan.at("ppid_before"));
  // From then on its parent is whoever took it in.
  EXPECT_EQ(at(watched.only("exec", pid), "process.parent.pid"), report.at("ppid"));
  EXPECT_EQ(at(watched.only("exit", pid), "process.parent.pid"), report.at("ppid"));
  EXPECT_EQ(at(watched.only("exec", pid), "process.entity_id"), at(watched.only("fork", pid), "process.entity_id"));
}

// P12
TEST(Fork, mixes_nothing_up_when_processes_hop_between_processors) {
  const auto watched = clones("migrate");
  SKIP_IF_TOLD(watched);
  const auto reports = watched.truths("report");
  ASSERT_EQ(reports.size(), 53U);
  for (const auto& report : reports) expect_same(watched.only("exec", report.at("pid").get<std::int64_t>()), report);
}

TEST(Fork, is_where_the_ancestors_of_an_exec_come_from) {
  const auto watched = watch_command({"/bin/sh", "-c", "sh -c 'sh -c \"/bin/true; :\"; :'; :"});
  const auto execs = watched.stream.of("exec");
  ASSERT_EQ(execs.size(), 4U);
  const json& ancestors = at(execs[3], "nightjar.ancestors");
  ASSERT_GE(ancestors.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const json& forebear = execs[2 - i];
    for (const std::string part : {"entity_id", "pid", "executable"}) {
      EXPECT_EQ(at(ancestors[i], part), at(forebear, "process." + part)) << ancestors;
    }
  }
}

}  // namespace
}  // namespace nightjar::test
