// SPDX-License-Identifier: Apache-2.0
// Packages that own what was executed, against dpkg-query's and rpm's word.
#include <fstream>

#include <stdio.h>
#include <stdlib.h>
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

/// A package "made" of version 4:1.2-3 with DIR/owned/tool, installed into the database DIR/db; DIR/tool is nobody's.
void install_rpm(const TempDir& dir) {
  std::ofstream(dir / "made.spec") << "Name: made\nVersion: 1.2\nRelease: 3\nEpoch: 4\nSummary: made\nLicense: MIT\n"
                                   << "%description\nmade\n%install\nmkdir -p %{buildroot}" << dir / "owned" << "\ncp "
                                   << workload("tiny") << " %{buildroot}" << dir / "owned/tool" << "\n%files\n"
                                   << dir / "owned/tool" << '\n';
  const std::string log = " >>" + dir / "log" + " 2>&1";
  const std::string commands =
      "cp " + workload("tiny") + ' ' + dir / "tool" + " && rpmbuild -bb --define '_topdir " + dir / "build" +
      "' --define '_build_id_links none' --define '__os_install_post %{nil}' " + dir / "made.spec" + log +
      " && rpm --dbpath " + dir / "db" + " -i --nodeps " + dir / "build/RPMS" + "/*/*.rpm" + log;
  ASSERT_EQ(system(commands.c_str()), 0) << read_file(dir / "log");
}

/// What nightjar says of `command` where the machine has rpm's database DIR/db and no other.
std::string watch_with_rpm(const TempDir& dir, const std::string& command) {
  std::string script = "mount -t tmpfs none /var/lib && mkdir /var/lib/rpm && mount --bind " + dir / "db" +
                       " /var/lib/rpm && exec " + agent_path() + " watch --events exec --package";
  for (const std::string& option : tier_options()) script += ' ' + option;
  script += " --output file:" + dir / "events" + " -- /bin/sh -c '" + command + "' 2>" + dir / "err";
  const int status = system(("unshare -m /bin/sh -c \"" + script + '"').c_str());
  return status == 0 ? read_file(dir / "events") : "status " + std::to_string(status) + ": " + read_file(dir / "err");
}

TEST(Packages, are_those_that_rpm_names) {
  if (access("/usr/bin/rpmbuild", X_OK) != 0) GTEST_SKIP() << "skipped: there is no rpmbuild here";
  if (geteuid() != 0) GTEST_SKIP() << "skipped: a mount namespace of its own needs root";
  const TempDir dir;
  install_rpm(dir);
  const std::string truth =
      output_of("rpm --dbpath " + dir / "db" + " -qf --qf 'rpm %{NAME} %{EVR} %{ARCH}' " + dir / "owned/tool");
  ASSERT_EQ(truth.substr(0, truth.rfind(' ')), "rpm made 4:1.2-3");
  const std::string told = watch_with_rpm(dir, dir / "owned/tool" + "; " + dir / "tool" + "; " + dir / "owned/tool");
  int owned = 0, own = 0;
  for (const json& event : parse_stream(told, {.whole_trees = false}).of("exec")) {
    const std::string executable = text_at(event, "process.executable");
    EXPECT_FALSE(has_element(at(event, "nightjar.incomplete"), "package.name")) << event;
    if (executable == dir / "owned/tool") {
      ++owned;
      EXPECT_EQ(text_at(event, "package.type") + ' ' + text_at(event, "package.name") + ' ' +
                    text_at(event, "package.version") + ' ' + text_at(event, "package.architecture"),
                truth);
    } else {
      own += executable == dir / "tool" ? 1 : 0;
      EXPECT_TRUE(at(event, "package").is_null()) << event;
    }
  }
  EXPECT_EQ(owned, 2) << told;
  EXPECT_EQ(own, 1) << told;
}

TEST(Packages, of_an_older_database_of_rpm_are_refused_by_name) {
  if (geteuid() != 0) GTEST_SKIP() << "skipped: a mount namespace of its own needs root";
  if (access("/var/lib", F_OK) != 0) GTEST_SKIP() << "skipped: there is no /var/lib here";
  const TempDir dir;
  ASSERT_EQ(::mkdir((dir / "db").c_str(), 0755), 0);
  std::ofstream(dir / "db/Packages.db") << "RpmP";
  const std::string told = watch_with_rpm(dir, "true");
  EXPECT_NE(told.find("--package: rpm's database is in ndb's format, which is not read"), std::string::npos) << told;
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
