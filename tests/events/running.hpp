// SPDX-License-Identifier: Apache-2.0
// Workloads that run outside of any agent, and what they log meanwhile.
#pragma once

#include <sstream>

#include <fcntl.h>
#include <unistd.h>

#include <sys/wait.h>

#include "harness.hpp"

namespace nightjar::test {

/// A workload of this test's own, outside of any agent, with a pipe to its standard input.
class Process {
 public:
  explicit Process(const Strings& command) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC)) throw std::runtime_error("pipe2");
    pid_ = ::fork();
    if (pid_ == 0) {
      std::vector<char*> argv;
      for (const auto& one : command) argv.push_back(const_cast<char*>(one.c_str()));
      argv.push_back(nullptr);
      ::dup2(ends[0], 0);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(ends[0]);
    in_ = ends[1];
  }
  ~Process() { end(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }
  void send() const { EXPECT_EQ(::write(in_, "x", 1), 1); }
  /// Ends its input, and waits for its end.
  void end() {
    if (pid_ < 0) return;
    ::close(in_);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  int in_ = -1;
};

inline std::vector<json> lines(const std::string& path, std::string_view what) {
  std::vector<json> found;
  std::istringstream in(read_file(path));
  for (std::string line; std::getline(in, line);) {
    json one = json::parse(line, nullptr, false);
    if (one.is_object() && one.at("t") == what) found.push_back(std::move(one));
  }
  return found;
}

inline bool wait_for_lines(const std::string& path, std::string_view what, std::size_t count) {
  for (int i = 0; i < 600 * (in_vm() ? 6 : 1); i++) {
    if (lines(path, what).size() >= count) return true;
    ::usleep(50000);
  }
  return false;
}

}  // namespace nightjar::test
