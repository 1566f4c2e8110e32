// SPDX-License-Identifier: Apache-2.0
// Scripts and their interpreters: S1, S4, S6, S7, S9.
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>

#include <sys/stat.h>

#include "harness.hpp"

namespace nightjar::test {
namespace {

Watched scripts(int levels, const std::string& how = "") {
  return watch("scripts", {"@LOG", "@DIR", workload("report"), std::to_string(levels), how});
}

// The chain in the order of execution; the workload made its scripts from the last to the first.
std::vector<json> chain_of(const Watched& watched) {
  auto chain = watched.truths("script");
  std::reverse(chain.begin(), chain.end());
  return chain;
}

json checked_chain(const Watched& watched) {
  if (!watched.truths("failed").empty()) {
    ADD_FAILURE() << "the kernel refused the script: errno " << watched.truth("failed").at("errno");
    return nullptr;
  }
  const json& report = watched.truth("report");
  if (!report.is_object()) return nullptr;
  const json event = watched.only("exec", report.at("pid").get<std::int64_t>());
  expect_same(event, report);  // argv is the interpreter's, the executable is the interpreter
  const json& told = at(event, "nightjar.exec.scripts");
  const auto chain = chain_of(watched);
  EXPECT_EQ(told.size(), chain.size()) << told;
  for (std::size_t i = 0; i < chain.size() && i < told.size(); i++) {
    EXPECT_EQ(at(told[i], "path"), from_hex(chain[i].at("path").get<std::string>())) << "script " << i;
    EXPECT_EQ(at(told[i], "inode"), chain[i].at("ino")) << "script " << i;
    EXPECT_EQ(text_at(told[i], "device"), chain[i].at("major").dump() + ":" + chain[i].at("minor").dump());
  }
  return event;
}

TEST(ExecScripts, reports_one_script) {
  const json event = checked_chain(scripts(1));
  EXPECT_EQ(text_at(event, "nightjar.exec.interpreter"), workload("report"));
}
TEST(ExecScripts, reports_two_script_levels) {
  checked_chain(scripts(2));
}
TEST(ExecScripts, reports_three_script_levels) {
  checked_chain(scripts(3));
}
TEST(ExecScripts, reports_four_script_levels) {
  const json event = checked_chain(scripts(4));
  EXPECT_EQ(text_at(event, "nightjar.exec.interpreter"), workload("report"));
}

TEST(ExecScripts, has_no_scripts_when_a_program_is_executed) {
  const auto watched = watch("exec_how", {"@LOG", "absolute", "@DIR", workload("report")});
  const json& event = watched.only("exec", watched.truth("end").at("pid").get<std::int64_t>());
  EXPECT_TRUE(at(event, "nightjar.exec.scripts").is_null() || at(event, "nightjar.exec.scripts").empty()) << event;
}

// Where the kernel's own limit lies has changed (4 or 5 levels): what it refuses is no exec, what it runs is complete.
TEST(ExecScripts, reports_five_levels_where_the_kernel_runs_them) {
  const auto watched = scripts(5);
  if (watched.truths("failed").empty()) {
    checked_chain(watched);
  } else {
    EXPECT_TRUE(watched.stream.of("exec", watched.truth("end").at("pid").get<std::int64_t>()).empty());
  }
}

TEST(ExecScripts, is_silent_when_the_kernel_finds_too_many_levels) {
  const auto watched = scripts(7);
  EXPECT_EQ(watched.truth("failed").at("errno"), ELOOP);
  EXPECT_TRUE(watched.stream.of("exec", watched.truth("end").at("pid").get<std::int64_t>()).empty());
}

// The scripts' paths are those of the files, resolved, not as they were given.
TEST(ExecScripts, resolves_a_script_named_relatively) {
  const json event = checked_chain(scripts(2, "relative"));
  EXPECT_EQ(text_at(event, "nightjar.exec.filename"), "./s1");
}

// S7
TEST(ExecScripts, resolves_a_relative_interpreter) {
  const json event = checked_chain(scripts(2, "relative_interpreter"));
  EXPECT_EQ(text_at(event, "nightjar.exec.interpreter"), "./x");
}

// S9
TEST(ExecScripts, keeps_the_argument_of_the_interpreter) {
  const json event = checked_chain(scripts(1, "argument"));
  const auto args = args_of(event);
  ASSERT_EQ(args.size(), 6U);
  EXPECT_EQ(args[1], "-x y");
}
TEST(ExecScripts, takes_a_line_without_an_end) {
  checked_chain(scripts(1, "no_newline"));
}
TEST(ExecScripts, takes_an_interpreter_that_ends_with_a_carriage_return) {
  const json event = checked_chain(scripts(1, "crlf"));
  EXPECT_EQ(text_at(event, "nightjar.exec.interpreter"), "./x\r");
}

// S4: the name is /dev/fd/N and says nothing; path and identity do.
// Where no hook shows the chain, the sensor says so twice:
// exec is "degraded" at the start, and the event names the field as incomplete.
TEST(ExecScripts, resolves_a_script_executed_by_descriptor) {
  const auto watched = scripts(2, "fexecve");
  ASSERT_FALSE(watched.stream.events.empty());
  const json& coverage = at(watched.stream.events.front(), "nightjar.coverage.exec");
  const json& event = watched.only("exec", watched.truth("end").at("pid").get<std::int64_t>());
  if (text_at(coverage, "state") == "degraded" && at(event, "nightjar.exec.scripts").is_null() &&
      has_element(at(event, "nightjar.incomplete"), "nightjar.exec.scripts")) {
    GTEST_SKIP() << "kernel lacks a hook on the scripts of a chain, in this tier: " << text_at(coverage, "reason");
  }
  checked_chain(watched);
}

// S6
TEST(ExecScripts, keeps_script_paths_of_more_than_256_bytes) {
  const auto watched = scripts(1, "long");
  ASSERT_GT(chain_of(watched).at(0).at("path").get<std::string>().size(), 2U * 400);
  checked_chain(watched);
}

void write_script(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  std::filesystem::permissions(path, std::filesystem::perms{0755});
}

std::uint64_t inode_of(const std::string& path) {
  struct stat st{};
  EXPECT_EQ(::stat(path.c_str(), &st), 0) << path;
  return st.st_ino;
}

// S7: the same script twice in one process, first by a relative name and then by an absolute one.
TEST(ExecScripts, resolves_a_script_by_either_name_in_one_process) {
  const TempDir temp;
  const std::string path = temp / "script";
  std::filesystem::create_symlink("/bin/sh", temp / "sh");
  write_script(path, "#!./sh\n[ \"$1\" = again ] || exec \"$PWD/script\" again\n");
  const auto watched = watch_command({"/bin/sh", "-c", "cd " + temp.path() + " && exec ./script"});
  EXPECT_EQ(watched.outcome.status, 0) << watched.outcome.err;
  const auto execs = watched.stream.of("exec");
  ASSERT_EQ(execs.size(), 3U);
  for (const auto* event : {&execs[1], &execs[2]}) {
    ASSERT_EQ(at(*event, "nightjar.exec.scripts").size(), 1U) << *event;
    EXPECT_EQ(at(at(*event, "nightjar.exec.scripts")[0], "path"), path);
    EXPECT_EQ(at(at(*event, "nightjar.exec.scripts")[0], "inode"), inode_of(path));
  }
  EXPECT_EQ(text_at(execs[1], "nightjar.exec.filename"), "./script");
  EXPECT_EQ(text_at(execs[2], "nightjar.exec.filename"), path);
}

// S5: many scripts at once; each exec has the path and the inode of one and the same of them, and of its argv.
TEST(ExecScripts, mixes_no_two_scripts_up_when_many_run_at_once) {
  SKIP_WHERE_PREEMPTED();
  const TempDir temp;
  std::map<std::string, std::uint64_t> inodes;
  const int count = scaled(61, 17);
  for (int i = 0; i < count; i++) {
    const std::string path = temp / (std::to_string(i) + std::string(static_cast<std::size_t>(3 * i + 1), 's'));
    write_script(path, "#!" + workload("tiny") + "\n");
    inodes[path] = inode_of(path);
  }
  const auto watched = watch_command(
      {"/bin/sh", "-c", "for round in 1 2 3 4 5 6 7; do for s in " + temp.path() + "/*; do \"$s\" & done; wait; done"},
      {.timeout = patience(120)});
  std::map<std::string, int> seen;
  for (const auto& event : watched.stream.of("exec")) {
    const json& scripts = at(event, "nightjar.exec.scripts");
    if (text_at(event, "process.name") == "sh" && scripts.empty()) continue;
    ASSERT_EQ(scripts.size(), 1U) << event;
    const std::string path = text_at(scripts[0], "path");
    ASSERT_TRUE(inodes.contains(path)) << event;
    EXPECT_EQ(at(scripts[0], "inode"), inodes[path]) << event;
    EXPECT_EQ(args_of(event), (Strings{workload("tiny"), path}));
    seen[path]++;
  }
  EXPECT_EQ(seen.size(), inodes.size());
  for (const auto& [path, times] : seen) EXPECT_EQ(times, 7) << path;
}

}  // namespace
}  // namespace nightjar::test
