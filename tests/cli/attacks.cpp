// SPDX-License-Identifier: Apache-2.0
// What a user without privileges tries against a sensor that runs, and what a machine with little memory does to it.
// docs/security.md has the list of all that was tried.
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>

#include <fcntl.h>
#include <grp.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "cgroups.hpp"
#include "cli.hpp"

namespace nightjar::test {
namespace {

/// The error of a call that should fail; 0 when it worked.
int error_of(long result) {
  return result < 0 ? errno : 0;
}

int connect_to(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

long bpf_by_id(int command) {
  bpf_attr attr{};
  attr.prog_id = 1;
  return ::syscall(SYS_bpf, command, &attr, sizeof attr);
}

TEST(Attacks, of_a_user_without_privileges_are_refused_by_the_kernel) {
  if (::geteuid() != 0) GTEST_SKIP() << "these tests do not run as root";
  const TempDir temp;  // 0755: it is the files that are closed
  const std::string output = temp / "events", socket = temp / "socket", metrics = temp / "metrics";
  Strings arguments{"run",
                    "--scope",
                    "tree:" + std::to_string(::getpid()),
                    "--output",
                    "file:" + output,
                    "--output",
                    "unix:" + socket,
                    "--metrics",
                    "unix:" + metrics};
  for (const auto& option : tier_options()) arguments.push_back(option);
  Agent agent({.arguments = arguments});
  for (int i = 0; i < 600 && read_file(output).empty(); i++) ::usleep(50000);
  ASSERT_FALSE(read_file(output).empty()) << agent.finish().err;

  const std::string proc = "/proc/" + std::to_string(agent.pid());
  const auto open_for = [](const std::string& path, int how) {
    return error_of(::open(path.c_str(), how | O_CLOEXEC));
  };
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t user = ::fork();
  if (user == 0) {
    if (::setgroups(0, nullptr) || ::setresgid(65534, 65534, 65534) || ::setresuid(65534, 65534, 65534)) ::_exit(1);
    char byte = 0;
    iovec here{&byte, 1}, there{&byte, 1};
    const rlimit none{0, 0};
    json errors;
    errors["SIGTERM"] = error_of(::kill(agent.pid(), SIGTERM));
    errors["SIGSTOP"] = error_of(::kill(agent.pid(), SIGSTOP));
    errors["ptrace"] = error_of(::ptrace(PTRACE_SEIZE, agent.pid(), nullptr, nullptr));
    errors["reading memory"] = error_of(::process_vm_readv(agent.pid(), &here, 1, &there, 1, 0));
    errors["writing memory"] = error_of(::process_vm_writev(agent.pid(), &here, 1, &there, 1, 0));
    errors["limits"] = error_of(::prlimit(agent.pid(), RLIMIT_FSIZE, &none, nullptr));
    errors["priority"] = error_of(::setpriority(PRIO_PROCESS, static_cast<id_t>(agent.pid()), 19));
    errors["mem"] = open_for(proc + "/mem", O_RDWR);
    errors["environ"] = open_for(proc + "/environ", O_RDONLY);
    errors["oom_score_adj"] = open_for(proc + "/oom_score_adj", O_WRONLY);
    errors["reading the output"] = open_for(output, O_RDONLY);
    errors["writing the output"] = open_for(output, O_WRONLY);
    errors["another's output, moved"] = error_of(::rename(output.c_str(), (output + ".gone").c_str()));
    errors["socket"] = error_of(connect_to(socket));
    errors["metrics"] = error_of(connect_to(metrics));
    for (const auto& [name, command] :
         {std::pair{"program", BPF_PROG_GET_FD_BY_ID}, {"map", BPF_MAP_GET_FD_BY_ID}, {"link", BPF_LINK_GET_FD_BY_ID}})
      errors[name] = error_of(bpf_by_id(command));
    const std::string text = errors.dump();
    ::_exit(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text(4096, '\0');
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(ends[0], text.data(), text.size()))));
  ::close(ends[0]);
  int status = 1;
  ::waitpid(user, &status, 0);
  EXPECT_EQ(status, 0);
  const json errors = json::parse(text);
  EXPECT_EQ(errors.size(), 18U);
  for (const auto& [what, error] : errors.items())
    EXPECT_TRUE(error == EPERM || error == EACCES) << what << ": " << std::strerror(error.get<int>());

  agent.send_signal(SIGTERM);
  const auto outcome = agent.finish();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const auto& problem : parse_stream(read_file(output), {.whole_trees = false}).problems) ADD_FAILURE() << problem;
}

/// A cgroup of this test's own with a limit; cgroup version 1 or 2, whichever has the memory controller.
class LimitedCgroup {
 public:
  explicit LimitedCgroup(int megabytes) : old_("", "memory") {
    const bool is_old = !old_.path().empty();
    if (!is_old) new_.emplace();
    path_ = is_old ? old_.path() : new_->path();
    if (path_.empty()) return;
    std::ofstream limit(path_ + (is_old ? "/memory.limit_in_bytes" : "/memory.max"));
    limit << std::to_string(megabytes) + "M" << std::flush;
    if (!limit) path_.clear();
    events_ = path_ + (is_old ? "/memory.oom_control" : "/memory.events");
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// The line "oom_kill N".
  [[nodiscard]] int kills() const {
    std::ifstream in(events_);
    std::string name;
    for (int count = 0; in >> name >> count;) {
      if (name == "oom_kill") return count;
    }
    return -1;
  }

 private:
  Cgroup old_;
  std::optional<Cgroup> new_;
  std::string path_, events_;
};

void storm_in_memory_of(int megabytes, const std::string& events) {
  const LimitedCgroup cgroup(megabytes);
  if (cgroup.path().empty()) GTEST_SKIP() << "no cgroup with the memory controller may be made here";
  const TempDir temp;
  const int count = scaled(2003, 211);
  const pid_t inside = ::fork();
  if (inside == 0) {
    const int members = ::open((cgroup.path() + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
    if (members < 0 || ::write(members, "0", 1) != 1) ::_exit(126);
    const auto outcome =
        run_agent({.arguments = watch_arguments(
                       {"--events", events, "--output", "file:" + (temp / "events")},
                       {workload("exec_storm"), temp / "log", "2", std::to_string(count), workload("tiny"), "1"}),
                   .timeout = patience(120)});
    std::ofstream(temp / "err") << outcome.err;
    ::_exit(outcome.status > 255 ? 125 : outcome.status);
  }
  int status = -1;
  ::waitpid(inside, &status, 0);
  EXPECT_EQ(status, 0) << read_file(temp / "err");
  EXPECT_EQ(read_file(temp / "err").find("raise the limit"), std::string::npos) << "it is enough";
  EXPECT_EQ(cgroup.kills(), 0);
  const auto stream = parse_stream(read_file(temp / "events"), {.losses = true});
  for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
  std::map<std::string, std::int64_t> counts;
  for (const auto& event : stream.events) ++counts[action_of(event)];
  for (const auto& event : stream.of("events_lost"))
    counts[text_at(event, "nightjar.lost.class")] += at(event, "nightjar.lost.count").get<std::int64_t>();
  EXPECT_EQ(counts["exec"], count + 1);
  EXPECT_EQ(counts["exit"], count + 3);
}

TEST(MemoryLimit, of_64_mb_is_enough_for_processes) {
  storm_in_memory_of(64, "process");
}
// The kernel ends it, or it works: either way it was said before.
TEST(MemoryLimit, below_what_a_start_takes_is_told) {
  const LimitedCgroup cgroup(40);
  if (cgroup.path().empty()) GTEST_SKIP() << "no cgroup with the memory controller may be made here";
  const TempDir temp;
  const pid_t inside = ::fork();
  if (inside == 0) {
    const int members = ::open((cgroup.path() + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
    if (members < 0 || ::write(members, "0", 1) != 1) ::_exit(126);
    // Nothing else may be there that the kernel could end in its place.
    const int err = ::open((temp / "err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const int out = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (::dup2(err, STDERR_FILENO) < 0 || ::dup2(out, STDOUT_FILENO) < 0) ::_exit(126);
    ::alarm(120);
    Strings words{"nightjar"};
    for (auto& word : watch_arguments({"--events", "all"}, {"/bin/true"})) words.push_back(std::move(word));
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(agent_path().c_str(), argv.data());
    ::_exit(127);
  }
  ::waitpid(inside, nullptr, 0);
  const std::string told = read_file(temp / "err");
  EXPECT_NE(told.find("the cgroup " + cgroup.path() + " may take 40 MB of memory"), std::string::npos) << told;
  EXPECT_NE(told.find("raise the limit"), std::string::npos) << told;
}

TEST(MemoryLimit, of_128_mb_is_enough_for_everything) {
  storm_in_memory_of(128, "all");
}

}  // namespace
}  // namespace nightjar::test
