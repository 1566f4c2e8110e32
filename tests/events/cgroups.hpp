// SPDX-License-Identifier: Apache-2.0
// A cgroup of the test's own, below the mount that /proc/mounts names.
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

#include <sys/stat.h>

namespace nightjar::test {

/// Where the unified hierarchy is mounted, or the one of version 1 that has this controller; empty: nowhere.
inline std::string cgroup_mount(const std::string& controller = "") {
  std::ifstream mounts("/proc/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string source, target, type, options;
    words >> source >> target >> type >> options;
    if (controller.empty()
            ? type == "cgroup2"
            : type == "cgroup" && ("," + options + ",").find("," + controller + ",") != std::string::npos)
      return target;
  }
  return {};
}

class Cgroup {
 public:
  /// Makes every directory of PATH ("a/b") below a directory named after this process; path() is empty when it may not.
  explicit Cgroup(const std::string& path = "", const std::string& controller = "") {
    const std::string root = cgroup_mount(controller);
    if (root.empty()) return;
    std::istringstream parts(path);
    std::string name = "/nightjar-test-" + std::to_string(::getpid());
    std::string made = root + name;
    std::string below = name;
    bool good = make(made);
    for (std::string part; good && std::getline(parts, part, '/');) {
      if (part.empty()) continue;
      made += "/" + part;
      below += "/" + part;
      good = make(made);
    }
    if (!good) return;
    path_ = made;
    name_ = below;
  }
  ~Cgroup() {
    for (auto one = made_.rbegin(); one != made_.rend(); ++one) {
      for (int i = 0; i < 100 && ::rmdir(one->c_str()) && errno == EBUSY; i++) ::usleep(10000);
    }
  }
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }  ///< the directory
  [[nodiscard]] const std::string& name() const { return name_; }  ///< as the kernel names it, from the root

 private:
  bool make(const std::string& directory) {
    if (::mkdir(directory.c_str(), 0755) == 0) made_.push_back(directory);
    return ::access(directory.c_str(), W_OK) == 0;
  }
  std::string path_, name_;
  std::vector<std::string> made_;
};

}  // namespace nightjar::test
