// SPDX-License-Identifier: Apache-2.0
// Packages that own what was executed, against dpkg-query's word.
#include <fstream>

#include <stdio.h>
#include <unistd.h>

#include <sys/stat.h>

#include "harness.hpp"

namespace nightjar::test {
namespace {

std::string output_of(const std::string& command) {
  std::string text(256, '\0');
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  text.resize(fread(text.data(), 1, text.size(), pipe));
  pclose(pipe);
  return text;
}

TEST(Packages, are_those_that_dpkg_names) {
  if (access("/var/lib/dpkg/status", R_OK) != 0) GTEST_SKIP() << "no dpkg here";
  const TempDir dir;
  // The same program under a name that is no package's.
  std::ofstream(dir / "own", std::ios::binary) << read_file("/usr/bin/env");
  ASSERT_EQ(::chmod((dir / "own").c_str(), 0755), 0);
  const std::string script = "/usr/bin/env true; " + dir / "own" + " true; /usr/bin/env true";
  const auto watched = watch_command({"/bin/sh", "-c", script}, {.options = {"--events", "process", "--package"}});
  int env = 0, own = 0;
  for (const json& event : watched.stream.of("exec")) {
    const std::string executable = text_at(event, "process.executable");
    EXPECT_FALSE(has_element(at(event, "nightjar.incomplete"), "package.name")) << event;
    if (executable == dir / "own") {
      ++own;
      EXPECT_TRUE(at(event, "package").is_null()) << event;
    } else if (executable == "/usr/bin/env") {
      ++env;
      EXPECT_EQ(text_at(event, "package.name") + ' ' + text_at(event, "package.version") + ' ' +
                    text_at(event, "package.architecture"),
                output_of("dpkg-query -W -f '${Package} ${Version} ${Architecture}' coreutils"));
      EXPECT_EQ(text_at(event, "package.type"), "deb");
    }
  }
  EXPECT_EQ(env, 2);
  EXPECT_EQ(own, 1);
}

TEST(Packages, of_another_mount_namespace_are_not_guessed) {
  if (access("/var/lib/dpkg/status", R_OK) != 0) GTEST_SKIP() << "no dpkg here";
  const TempDir dir;
  std::ofstream(dir / "own", std::ios::binary) << read_file(workload("tiny"));
  ASSERT_EQ(::chmod((dir / "own").c_str(), 0755), 0);
  // A path that a package owns, with another file behind it.
  const std::string script = "mount --bind " + dir / "own" + " /usr/bin/env && /usr/bin/env";
  const auto watched =
      watch_command({"unshare", "-m", "/bin/sh", "-c", script},
                    {.options = {"--events", "exec", "--package"}, .expected = {.whole_trees = false}});
  int env = 0;
  for (const json& event : watched.stream.of("exec")) {
    if (text_at(event, "process.executable") != "/usr/bin/env") continue;
    ++env;
    EXPECT_TRUE(at(event, "package").is_null()) << event;
    EXPECT_TRUE(has_element(at(event, "nightjar.incomplete"), "package.name")) << event;
  }
  EXPECT_EQ(env, 1);
}

}  // namespace
}  // namespace nightjar::test
