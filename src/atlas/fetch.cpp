// SPDX-License-Identifier: Apache-2.0
#include "atlas/fetch.hpp"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <sys/wait.h>

namespace nightjar::atlas {
namespace {

std::string quoted_for_shell(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

Result<Fetch> Fetch::start(const std::string& command, const std::string& path) {
  std::string line = command;
  const std::string word = quoted_for_shell(path);
  for (std::size_t at = line.find("{}"); at != std::string::npos; at = line.find("{}", at + word.size()))
    line.replace(at, 2, word);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::from_errno("pipe");
  const UniqueFd writing(ends[1]);
  UniqueFd reading(ends[0]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
  std::string shell = "sh";
  std::string option = "-c";
  const std::array<char*, 4> arguments{shell.data(), option.data(), line.data(), nullptr};
  pid_t pid = -1;
  const int result = ::posix_spawn(&pid, "/bin/sh", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (result != 0) return Error::from_errno("start " + line, result);
  return Fetch(pid, line, source_of_descriptor(std::move(reading), line));
}

Result<> Fetch::end() {
  if (pid_ < 0) return {};
  source_.reset();  // the command gets SIGPIPE when it writes on
  int status = 0;
  pid_t waited = -1;
  do {
    waited = ::waitpid(pid_, &status, 0);
  } while (waited < 0 && errno == EINTR);
  pid_ = -1;
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    return Error(errc::system, command_ + ": exit status " + std::to_string(WEXITSTATUS(status)));
  return {};
}

}  // namespace nightjar::atlas
