// SPDX-License-Identifier: Apache-2.0
// A folder that stands for "/".
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <stdlib.h>

namespace nightjar::test {

class TempRoot : public testing::Test {
 protected:
  TempRoot() {
    std::string name = (std::filesystem::temp_directory_path() / "nightjar-XXXXXX").string();
    root_ = mkdtemp(name.data());
  }
  ~TempRoot() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::string root_;
};

}  // namespace nightjar::test
