// SPDX-License-Identifier: Apache-2.0
#include "agent/scripts.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include "nightjar/unique_fd.hpp"

namespace nightjar {
namespace {

TEST(Shebang, is_read_as_the_kernel_reads_it) {
  const struct {
    std::string start, interpreter, argument;
  } cases[] = {
      {"#!/bin/sh\necho", "/bin/sh", ""},
      {"#! /bin/sh -e\n", "/bin/sh", "-e"},
      {"#!/usr/bin/env  python3 -u \n", "/usr/bin/env", "python3 -u"},
      {"#!\t/bin/sh\t-x\t\n", "/bin/sh", "-x"},
      {"#!/bin/sh", "/bin/sh", ""},
      {"#!\n", "", ""},
      {"\x7f"
       "ELF",
       "", ""},
      {"", "", ""},
  };
  for (const auto& c : cases) {
    const ShebangLine line = parse_shebang(c.start);
    EXPECT_EQ(line.interpreter, c.interpreter) << c.start;
    EXPECT_EQ(line.argument, c.argument) << c.start;
  }
}

class Derived : public testing::Test {
 protected:
  Derived() {
    std::string name = "/tmp/nightjar-scripts-XXXXXX";
    directory_ = mkdtemp(name.data());
    root_.reset(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  ~Derived() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ + "/" + name) << text;
    return directory_ + "/" + name;
  }
  std::vector<Script> derive(std::string_view filename, std::string_view interpreter,
                             const std::vector<std::string_view>& argv) {
    return derive_scripts({root_.get(), directory_, 0}, filename, interpreter, argv);
  }

  std::string directory_;
  UniqueFd root_;
};

TEST_F(Derived, chain_is_followed_and_identified) {
  const std::string interpreter = write("interpreter",
                                        "\x7f"
                                        "ELF");
  const std::string inner = write("inner", "#!" + interpreter + " -a\n");
  const std::string outer = write("outer", "#!" + inner + "\n");
  const auto chain = derive("./outer", interpreter, {interpreter, "-a", inner, "./outer", "more"});
  ASSERT_EQ(chain.size(), 2U);
  EXPECT_EQ(chain[0].path, outer);
  EXPECT_EQ(chain[1].path, inner);
  struct stat status{};
  ASSERT_EQ(stat(outer.c_str(), &status), 0);
  EXPECT_EQ(chain[0].inode, status.st_ino);
}

TEST_F(Derived, chain_that_does_not_explain_the_argv_is_not_believed) {
  const std::string interpreter = write("interpreter",
                                        "\x7f"
                                        "ELF");
  const std::string script = write("script", "#!" + interpreter + "\n");
  EXPECT_EQ(derive(script, interpreter, {interpreter, script}).size(), 1U);
  EXPECT_TRUE(derive(script, interpreter, {interpreter, "-changed", script}).empty());
  EXPECT_TRUE(derive(script, "/bin/other", {interpreter, script}).empty());
  EXPECT_TRUE(derive(directory_ + "/gone", interpreter, {interpreter, script}).empty());
}

TEST_F(Derived, never_waits_for_a_fifo) {
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_TRUE(derive(fifo, "/bin/sh", {"/bin/sh", fifo}).empty());
}

}  // namespace
}  // namespace nightjar
