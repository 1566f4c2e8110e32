// SPDX-License-Identifier: Apache-2.0
// SHA-256 of what was executed, against sha256sum's word.
#include <fstream>

#include <stdio.h>

#include <sys/stat.h>

#include "harness.hpp"

namespace nightjar::test {
namespace {

constexpr int programs = 13;

std::string sha256sum(const std::string& path) {
  char digest[65] = {};
  FILE* pipe = popen(("sha256sum '" + path + "'").c_str(), "r");
  if (pipe != nullptr) {
    if (fread(digest, 1, 64, pipe) != 64) digest[0] = '\0';
    pclose(pipe);
  }
  return digest;
}

/// A program of its own: what follows an ELF file's end is no concern of the kernel.
void make_program(const std::string& path, const std::string& mark) {
  std::ofstream(path, std::ios::binary) << read_file(workload("tiny")) << mark;
  ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
}

TEST(Hashes, are_those_of_the_files_that_ran) {
  const TempDir dir;
  std::string script;
  for (int i = 0; i < programs; ++i) {
    make_program(dir / ("p" + std::to_string(i)), std::to_string(i));
    if (HasFatalFailure()) return;
    script += dir / ("p" + std::to_string(i)) + "; ";
  }
  // Again: what is known is not lost, and a script's digest is its interpreter's.
  std::ofstream(dir / "script") << "#!" << dir / "p0" << "\n";
  ASSERT_EQ(::chmod((dir / "script").c_str(), 0755), 0);
  const auto watched = watch_command({"/bin/sh", "-c", script + script + dir / "script"},
                                     {.options = {"--events", "process", "--hash"}});
  const auto execs = watched.stream.of("exec");
  ASSERT_EQ(execs.size(), 2U * programs + 2);
  for (const json& event : execs) {
    EXPECT_EQ(text_at(event, "process.hash.sha256"), sha256sum(text_at(event, "process.executable"))) << event;
  }
}

TEST(Hashes, follow_the_content_of_a_file) {
  const TempDir dir;
  make_program(dir / "one", "1");
  make_program(dir / "other", "2");
  const std::string first = sha256sum(dir / "one");
  const std::string second = sha256sum(dir / "other");
  ASSERT_NE(first, second);
  const auto watched = watch_command(
      {"/bin/sh", "-c", dir / "one" + "; sleep 0.3; cat " + dir / "other" + " > " + dir / "one; " + dir / "one"},
      {.options = {"--events", "exec", "--hash"}, .expected = {.whole_trees = false}});
  Strings digests;
  for (const json& event : watched.stream.of("exec")) {
    if (text_at(event, "process.executable") == dir / "one") digests.push_back(text_at(event, "process.hash.sha256"));
  }
  EXPECT_EQ(digests, (Strings{first, second}));
}

TEST(Hashes, that_cannot_be_had_are_named_as_missing) {
  const TempDir dir;
  // Larger than what is read, without a byte on the disk.
  make_program(dir / "huge", "");
  ASSERT_EQ(::truncate((dir / "huge").c_str(), 513L << 20), 0);
  const auto watched =
      watch_command({dir / "huge"}, {.options = {"--events", "exec", "--hash"}, .expected = {.whole_trees = false}});
  const auto execs = watched.stream.of("exec");
  ASSERT_EQ(execs.size(), 1U);
  EXPECT_TRUE(at(execs[0], "process.hash.sha256").is_null());
  EXPECT_TRUE(has_element(at(execs[0], "nightjar.incomplete"), "process.hash.sha256")) << execs[0];
}

TEST(Hashes, are_not_asked_for_by_default) {
  const auto watched = watch_command({workload("tiny")});
  for (const json& event : watched.stream.of("exec")) {
    EXPECT_TRUE(at(event, "process.hash.sha256").is_null());
    EXPECT_FALSE(has_element(at(event, "nightjar.incomplete"), "process.hash.sha256"));
  }
}

}  // namespace
}  // namespace nightjar::test
