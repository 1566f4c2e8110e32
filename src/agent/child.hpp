// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "nightjar/result.hpp"

namespace nightjar {

/// The COMMAND of watch.
class Child {
 public:
  /// 127 or 126 with a message when execvp would fail for sure, as a shell would say it; nothing when it can be tried.
  struct Refusal {
    int status;
    std::string message;
  };
  static std::optional<Refusal> check(const std::string& command);

  /// Forks and execs. `stdout_to_stderr`: the command's standard output becomes its standard error, so that events have
  /// standard output to themselves. The signal mask of the parent before blocking is restored in the child.
  static Result<Child> start(const std::vector<std::string>& command, bool stdout_to_stderr, const sigset_t& mask);

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Collects the status if the command ended; true when it did (now or before).
  bool reap();
  /// Exit status to end with: the command's, or 128 + the signal that ended it.
  [[nodiscard]] int status() const { return status_; }
  /// The errno with which the exec failed, 0 if it succeeded. Known once reap() is true.
  [[nodiscard]] int exec_error() const { return exec_error_; }

 private:
  Child(pid_t pid, int exec_pipe) : pid_(pid), exec_pipe_(exec_pipe) {}
  pid_t pid_;
  int exec_pipe_;
  bool ended_ = false;
  int status_ = 0;
  int exec_error_ = 0;
};

}  // namespace nightjar
