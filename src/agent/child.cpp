// SPDX-License-Identifier: Apache-2.0
#include "agent/child.hpp"

#include <cstdlib>
#include <sstream>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/wait.h>

namespace nightjar {
namespace {

constexpr int not_executable = 126;
constexpr int not_found = 127;

}  // namespace

std::optional<Child::Refusal> Child::check(const std::string& command) {
  const auto judge = [](const std::string& path) -> int {
    struct stat status{};
    if (stat(path.c_str(), &status) != 0) return errno;
    if (S_ISDIR(status.st_mode)) return EISDIR;
    return access(path.c_str(), X_OK) == 0 ? 0 : errno;
  };
  int error = ENOENT;
  if (command.find('/') != std::string::npos) {
    error = judge(command);
  } else {
    const char* path = std::getenv("PATH");
    std::istringstream directories(path != nullptr ? path : "/bin:/usr/bin");
    for (std::string directory; error != 0 && std::getline(directories, directory, ':');) {
      const int here = judge((directory.empty() ? "." : directory) + "/" + command);
      if (here == 0 || (here != ENOENT && here != ENOTDIR)) error = here;
    }
  }
  if (error == 0) return std::nullopt;
  const int status = error == ENOENT || error == ENOTDIR ? not_found : not_executable;
  return Refusal{status, command + ": " + strerror(error)};
}

Result<Child> Child::start(const std::vector<std::string>& command, bool stdout_to_stderr, const sigset_t& mask) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));  // NOLINT: execvp's type
  argv.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno("pipe");
  const pid_t pid = fork();
  if (pid < 0) return Error::from_errno("cannot start " + command.front());
  if (pid == 0) {
    if (stdout_to_stderr) dup2(STDERR_FILENO, STDOUT_FILENO);
    sigprocmask(SIG_SETMASK, &mask, nullptr);
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv.data());
    const int error = errno;
    (void)!write(ends[1], &error, sizeof error);
    _exit(error == ENOENT ? not_found : not_executable);
  }
  close(ends[1]);
  return Child(pid, ends[0]);
}

bool Child::reap() {
  if (ended_) return true;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
  ended_ = true;
  status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  if (read(exec_pipe_, &exec_error_, sizeof exec_error_) != sizeof exec_error_) exec_error_ = 0;
  close(exec_pipe_);
  return true;
}

}  // namespace nightjar
