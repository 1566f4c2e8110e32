// SPDX-License-Identifier: Apache-2.0
// Who reaches for the agent is told: signals, ptrace, its memory, its files, its BPF objects. The attacker is a process
// of this test's own, and the scope; the agent is outside, as it is for everybody.
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>

#include <fcntl.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "harness.hpp"

namespace nightjar::test {
namespace {

/// A process that waits until it is told whom to attack. Its status is 0 when the attack worked.
class Attacker {
 public:
  explicit Attacker(const std::function<bool(pid_t)>& attack) {
    int ends[2];
    if (::pipe(ends) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      pid_t agent = 0;
      ::close(ends[1]);
      ::_exit(::read(ends[0], &agent, sizeof agent) == sizeof agent && attack(agent) ? 0 : 1);
    }
    ::close(ends[0]);
    go_ = ends[1];
  }
  ~Attacker() {
    if (go_ >= 0) ::close(go_);  // one that was never told ends
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  }
  Attacker(const Attacker&) = delete;
  Attacker& operator=(const Attacker&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }
  int attack(pid_t agent) {
    int status = -1;
    if (::write(go_, &agent, sizeof agent) != sizeof agent) return -1;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_ = -1;
  int go_ = -1;
};

/// `losses`: what is attacked may lose events, and says so.
Stream stream_of(const std::function<bool(pid_t)>& attack, const Strings& more = {}, bool losses = false) {
  Attacker attacker(attack);
  const pid_t pid = attacker.pid();
  Launch launch;
  launch.arguments = {"run", "--events", "all", "--scope", "tree:" + std::to_string(pid)};
  for (const auto& options : {tier_options(), more})
    launch.arguments.insert(launch.arguments.end(), options.begin(), options.end());
  Agent agent(launch);
  if (!agent.wait_for_output("process_snapshot", patience(60))) {
    ADD_FAILURE() << agent.finish().err;
    return {};
  }
  const std::int64_t target = agent.pid();
  EXPECT_EQ(attacker.attack(agent.pid()), 0);
  EXPECT_TRUE(agent.wait_for_output("\"action\":\"exit\"", patience(30)));
  agent.send_signal(SIGTERM);
  const auto outcome = agent.finish();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  auto stream = parse_stream(outcome.out, {.losses = losses, .whole_trees = false});
  for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
  for (const auto& event : stream.events) {
    if (is_process_event(event)) {
      EXPECT_EQ(at(event, "process.pid"), pid) << event;
    }
    if (!at(event, "nightjar.target.pid").is_null()) {
      EXPECT_EQ(at(event, "nightjar.target.pid"), target) << event;
    }
  }
  return stream;
}

bool sees(const Stream& stream, const std::string& action) {
  const std::string state = text_at(stream.events.at(0), "nightjar.coverage." + action + ".state");
  return state == "active" || state == "degraded";
}

TEST(Tamper, with_the_agent_itself_is_told) {
  const auto stream = stream_of([](pid_t agent) {
    if (::kill(agent, SIGSTOP) != 0 || ::kill(agent, SIGCONT) != 0) return false;
    if (::ptrace(PTRACE_SEIZE, agent, nullptr, nullptr) != 0) return false;
    if (::ptrace(PTRACE_INTERRUPT, agent, nullptr, nullptr) != 0 || ::waitpid(agent, nullptr, __WALL) != agent)
      return false;
    if (::ptrace(PTRACE_DETACH, agent, nullptr, nullptr) != 0) return false;
    // The stack's end holds the name of the executable, which nobody changes: a byte of it is written with what it is.
    std::uint64_t address = 0;
    std::ifstream maps("/proc/" + std::to_string(agent) + "/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.ends_with("[stack]")) address = std::stoull(line.substr(line.find('-') + 1), nullptr, 16) - 16;
    }
    char byte = 0;
    iovec here{&byte, 1}, there{reinterpret_cast<void*>(address), 1};
    if (::process_vm_readv(agent, &here, 1, &there, 1, 0) != 1) return false;
    if (::process_vm_writev(agent, &here, 1, &there, 1, 0) != 1) return false;
    const int memory = ::open(("/proc/" + std::to_string(agent) + "/mem").c_str(), O_RDWR | O_CLOEXEC);
    return memory >= 0 && ::pwrite(memory, &byte, 1, static_cast<off_t>(address)) == 1;
  });
  ASSERT_FALSE(stream.events.empty());
  ASSERT_EQ(stream.of("kill").size(), 1U);
  EXPECT_EQ(text_at(stream.of("kill")[0], "nightjar.signal.name"), "SIGSTOP");
  std::set<std::string> requests;
  for (const auto& event : stream.of("ptrace")) requests.insert(text_at(event, "nightjar.ptrace.request"));
  EXPECT_TRUE(requests.contains("PTRACE_SEIZE")) << json(requests);
  EXPECT_EQ(stream.of("process_vm_write").size(), 1U);
  EXPECT_EQ(stream.of("proc_mem_write").size(), sees(stream, "proc_mem_write") ? 1U : 0U);
}

TEST(Tamper, with_its_files_is_told) {
  const TempDir temp;
  const std::string settings = temp / "nightjar.yaml", output = temp / "events", other = temp / "other";
  std::ofstream(settings) << "users: false\n";
  ::chmod(settings.c_str(), 0600);
  const auto stream = stream_of(
      [&](pid_t) {
        for (const auto& path : {settings, output}) {
          const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
          if (file < 0 || ::write(file, "\n", 1) != 1) return false;
          ::close(file);
        }
        struct stat own{};
        return ::stat(agent_path().c_str(), &own) == 0 && ::chmod(agent_path().c_str(), own.st_mode & 07777) == 0 &&
               ::rename(output.c_str(), other.c_str()) == 0 && ::unlink(settings.c_str()) == 0;
      },
      {"--config", settings, "--output", "-", "--output", "file:" + output});
  ASSERT_FALSE(stream.events.empty());
  const auto paths_of = [&](const std::string& action, const std::string& field) {
    std::multiset<std::string> paths;
    for (const auto& event : stream.of(action)) paths.insert(text_at(event, field));
    return paths;
  };
  EXPECT_EQ(paths_of("open_write", "file.path"), (std::multiset<std::string>{settings, output}));
  EXPECT_EQ(paths_of("rename", "nightjar.file.old_path"), (std::multiset<std::string>{output}));
  EXPECT_EQ(paths_of("delete", "file.path"), (std::multiset<std::string>{settings}));
  EXPECT_EQ(paths_of("chmod", "file.path").size(), 1U);
}

TEST(Tamper, with_its_spool_is_told) {
  const TempDir temp;
  const std::string spool = temp / "spool", segment = spool + "/0000000000000001.spool", place = spool + "/read",
                    elsewhere = temp / "elsewhere";
  const auto stream = stream_of(
      [&](pid_t) {
        const int file = ::open(segment.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
        if (file < 0 || ::write(file, "\n", 1) != 1) return false;
        ::close(file);
        return ::truncate(segment.c_str(), 0) == 0 && ::unlink(segment.c_str()) == 0 &&
               ::symlink(elsewhere.c_str(), segment.c_str()) == 0 && ::chmod(spool.c_str(), 0777) == 0 &&
               ::rename(place.c_str(), elsewhere.c_str()) == 0;
      },
      {"--output", "-", "--output", "syslog:tcp://127.0.0.1:1?drain=0&spool=" + spool}, true);
  ASSERT_FALSE(stream.events.empty());
  const std::map<std::string, std::string> expected{{"open_write", segment}, {"truncate", segment},
                                                    {"delete", segment},     {"symlink", segment},
                                                    {"chmod", spool},        {"rename", elsewhere}};
  for (const auto& [action, path] : expected) {
    ASSERT_EQ(stream.of(action).size(), 1U) << action;
    EXPECT_EQ(text_at(stream.of(action)[0], "file.path"), path) << action;
  }
  // Nothing that the agent writes went through the link; what is there was moved.
  EXPECT_LT(std::filesystem::file_size(elsewhere), 100U);
}

long call_bpf(int command, bpf_attr& attr) {
  return ::syscall(SYS_bpf, command, &attr, sizeof attr);
}

// The largest id is the newest: a program of the agent, unless somebody else was faster. Nothing is changed.
TEST(Tamper, with_bpf_objects_is_told) {
  const TempDir temp;
  const auto stream = stream_of([&](pid_t) {
    std::uint32_t program = 0, map = 0, link = 0;
    for (const auto& [command, last] :
         {std::pair{BPF_PROG_GET_NEXT_ID, &program}, {BPF_MAP_GET_NEXT_ID, &map}, {BPF_LINK_GET_NEXT_ID, &link}}) {
      bpf_attr attr{};
      while (call_bpf(command, attr) == 0) attr.start_id = *last = attr.next_id;
    }
    std::ofstream(temp / "ids") << program << ' ' << map << ' ' << link;
    bpf_attr attr{};
    attr.prog_id = program;
    if (program == 0 || call_bpf(BPF_PROG_GET_FD_BY_ID, attr) < 0) return false;
    attr = {};
    attr.map_id = map;
    if (call_bpf(BPF_MAP_GET_FD_BY_ID, attr) < 0) return false;
    attr = {};
    attr.link_id = link;
    const long descriptor = link == 0 ? -1 : call_bpf(BPF_LINK_GET_FD_BY_ID, attr);
    if (link != 0 && descriptor < 0) return false;
    attr = {};
    attr.link_detach.link_fd = static_cast<std::uint32_t>(descriptor);
    // The kernel detaches no link of a tracing program: it must be tried, and seen to fail, before that is written
    // down.
    return call_bpf(BPF_LINK_DETACH, attr) < 0;
  });
  ASSERT_FALSE(stream.events.empty());
  std::uint32_t program = 0, map = 0, link = 0;
  std::ifstream(temp / "ids") >> program >> map >> link;
  std::map<std::string, std::uint32_t> told, expected{{"prog_get_fd_by_id", program}, {"map_get_fd_by_id", map}};
  if (link != 0) expected["link_get_fd_by_id"] = link;
  for (const auto& event : stream.of("bpf_access"))
    told[text_at(event, "nightjar.bpf.command")] = at(event, "nightjar.bpf.object_id").get<std::uint32_t>();
  EXPECT_EQ(told, expected);
}

// A process id that is used again and again is another process each time. Only in a guest: this chooses the machine's
// next process id.
TEST(Tamper, by_using_a_process_id_again_confuses_nobody) {
  if (!has_machine_alone())
    GTEST_SKIP() << "NIGHTJAR_TEST_WHOLE_MACHINE is not 1: other people's processes may run here";
  if (::access("/proc/sys/kernel/ns_last_pid", W_OK) != 0) GTEST_SKIP() << "kernel lacks ns_last_pid";
  const auto watched = watch_command(
      {"/bin/sh", "-c",
       "for i in 1 2 3 4 5 6 7 8 9 10 11; do echo 20000 >/proc/sys/kernel/ns_last_pid; /bin/true $i; done"});
  std::map<std::int64_t, std::set<std::string>> processes;
  for (const auto* action : {"fork", "exec", "exit"}) {
    for (const auto& event : watched.stream.of(action)) {
      if (at(event, "process.pid").get<std::int64_t>() == 20001)
        processes[20001].insert(text_at(event, "process.entity_id"));
    }
    EXPECT_EQ(watched.stream.of(action, 20001).size(), 11U) << action;
  }
  EXPECT_EQ(processes[20001].size(), 11U);
}

}  // namespace
}  // namespace nightjar::test
