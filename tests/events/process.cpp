// SPDX-License-Identifier: Apache-2.0
// The agent as a process: pipes, timeouts, ends.
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <unistd.h>

#include <sys/wait.h>

#include "harness.hpp"

namespace nightjar::test {

namespace {

using Clock = std::chrono::steady_clock;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() {
    if (::pipe2(ends, O_CLOEXEC)) fail("pipe2");
  }
};

// Runs in the child between fork and exec.
[[noreturn]] void become_agent(const Launch& launch, const Pipe& in, const Pipe& out, const Pipe& err) {
  std::signal(SIGPIPE, SIG_DFL);
  ::setpgid(0, 0);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(launch.input_from_caller ? in.ends[0] : nothing, 0);
  ::dup2(err.ends[1], 2);
  if (launch.close_stdout) {
    ::close(1);
  } else if (!launch.stdout_path.empty()) {
    ::dup2(::open(launch.stdout_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), 1);
  } else {
    ::dup2(out.ends[1], 1);
  }
  if (launch.unprivileged &&
      (::setgroups(0, nullptr) || ::setresgid(65534, 65534, 65534) || ::setresuid(65534, 65534, 65534))) {
    ::_exit(125);
  }
  for (const auto& one : launch.environment) ::putenv(const_cast<char*>(one.c_str()));
  const std::string agent = agent_path();
  std::vector<char*> argv{const_cast<char*>(agent.c_str())};
  for (const auto& one : launch.arguments) argv.push_back(const_cast<char*>(one.c_str()));
  argv.push_back(nullptr);
  ::execv(agent.c_str(), argv.data());
  const int error = errno;
  std::perror(agent.c_str());
  ::_exit(error == EACCES ? 124 : 123);
}

void close_and_forget(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

// Reads what is there; false at the end of file.
bool take(int fd, std::string& to) {
  char block[65536];
  const ssize_t got = ::read(fd, block, sizeof(block));
  if (got > 0) to.append(block, static_cast<std::size_t>(got));
  return got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN));
}

}  // namespace

std::string tests_dir() {
  static const std::string dir = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  return dir;
}

std::string agent_path() {
  const std::string given = environment("NIGHTJAR_BIN");
  return given.empty() ? tests_dir() + "/../bin/nightjar" : given;
}

std::string workload(std::string_view name) {
  return tests_dir() + "/workloads/" + std::string(name);
}

bool in_vm() {
  return environment("NIGHTJAR_TEST_SCALE") == "vm";
}

bool has_machine_alone() {
  return environment("NIGHTJAR_TEST_WHOLE_MACHINE") == "1";
}

bool preempted_under_emulation() {
  static const bool preempted = [] {
    const auto tier = environment("NIGHTJAR_TEST_TIER");
    if (!in_vm() || (tier != "btf" && tier != "tracepoint")) return false;
    const auto outcome = run_agent({.arguments = {"doctor", "--json"}});
    return outcome.out.find(R"("feature":"preemptible_tracepoints","answer":"yes")") != std::string::npos;
  }();
  return preempted;
}

int scaled(int full, int vm) {
  return in_vm() ? vm : full;
}

std::chrono::milliseconds patience(int seconds) {
  return std::chrono::seconds(in_vm() ? seconds * 6 : seconds);
}

Strings tier_options() {
  Strings options;
  if (const auto tier = environment("NIGHTJAR_TEST_TIER"); !tier.empty()) {
    options.insert(options.end(), {"--program-tier", tier});
  }
  if (const auto transport = environment("NIGHTJAR_TEST_TRANSPORT"); !transport.empty()) {
    options.insert(options.end(), {"--transport", transport});
  }
  if (const auto feature = environment("NIGHTJAR_TEST_WITHOUT"); !feature.empty()) {
    options.insert(options.end(), {"--without", feature});
  }
  return options;
}

TempDir::TempDir() {
  std::string pattern = "/tmp/nightjar-test-XXXXXX";
  if (!::mkdtemp(pattern.data())) fail("mkdtemp");
  path_ = pattern;
  std::filesystem::permissions(path_, std::filesystem::perms{0755});
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Agent::Agent(const Launch& launch) : begin_(Clock::now()), deadline_(begin_ + launch.timeout) {
  const Pipe in;
  const Pipe out;
  const Pipe err;
  pid_ = ::fork();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) become_agent(launch, in, out, err);
  ::setpgid(pid_, pid_);
  ::close(in.ends[0]);
  ::close(out.ends[1]);
  ::close(err.ends[1]);
  in_ = in.ends[1];
  out_ = out.ends[0];
  err_ = err.ends[0];
  if (!launch.input_from_caller) close_and_forget(in_);
  if (launch.stop_reading_stdout) close_and_forget(out_);
}

Agent::~Agent() {
  if (pid_ > 0) {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  close_and_forget(in_);
  close_and_forget(out_);
  close_and_forget(err_);
}

bool Agent::pump(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
  if (left <= 0 || (out_ < 0 && err_ < 0)) return false;
  pollfd wanted[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  if (::poll(wanted, 2, static_cast<int>(std::min<long>(left, 1000))) > 0) {
    if (wanted[0].revents && !take(out_, outcome_.out)) close_and_forget(out_);
    if (wanted[1].revents && !take(err_, outcome_.err)) close_and_forget(err_);
  }
  return true;
}

bool Agent::wait_for_output(std::string_view text, std::chrono::milliseconds limit) {
  const auto until = std::min(deadline_, Clock::now() + limit);
  while (outcome_.out.find(text) == std::string::npos) {
    if (out_ < 0 || !pump(until)) return false;
  }
  return true;
}

void Agent::send_signal(int number) const {
  ::kill(pid_, number);
}

void Agent::send_input(std::string_view text) const {
  if (::write(in_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) fail("write to the agent");
}

void Agent::close_input() {
  close_and_forget(in_);
}

Outcome Agent::finish() {
  close_input();
  int status = 0;
  bool ended = false;
  // A process that COMMAND left behind may hold the pipes open: the agent's own end counts, too.
  while (!ended) {
    const bool open = pump(deadline_);
    ended = ::waitpid(pid_, &status, WNOHANG) == pid_;
    if (!ended && !open) {
      if (Clock::now() >= deadline_) {
        outcome_.timed_out = true;
        ::kill(-pid_, SIGKILL);
        ::waitpid(pid_, &status, 0);
        ended = true;
      } else {
        ::usleep(1000);
      }
    }
  }
  pid_ = -1;
  outcome_.wall = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin_);
  const auto drain = Clock::now() + std::chrono::milliseconds(500);
  while (pump(drain)) {
  }
  outcome_.status = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
  return outcome_;
}

Outcome run_agent(const Launch& launch) {
  return Agent(launch).finish();
}

}  // namespace nightjar::test
