// SPDX-License-Identifier: Apache-2.0
// After fork() only system calls: the agent may have other threads.
#include "atlas/puppet.hpp"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace nightjar::atlas {
namespace {

constexpr int thread_flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
constexpr std::size_t stack_bytes = 65536;
/// What the processes wait for each other at most, before the agent gives up.
constexpr int patience_ms = 10000;

// Used by the forked processes alone, each in its own copy.
alignas(16) std::byte stacks[2][stack_bytes];
volatile pid_t first_thread = 0;

struct Ends {
  UniqueFd read, write;
};

/// Sockets, not pipes: no signal when the other side is gone.
Result<Ends> make_pipe() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return Error::from_errno("socketpair");
  return Ends{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// Waits a while for that many bytes.
bool take(int from, void* into, std::size_t size) {
  auto* at = static_cast<char*>(into);
  while (size > 0) {
    pollfd wait{.fd = from, .events = POLLIN, .revents = 0};
    if (poll(&wait, 1, patience_ms) <= 0) return false;
    const ssize_t count = ::read(from, at, size);
    if (count <= 0) return false;
    at += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

template <class T>
bool give(int to, const T& value) {
  return ::send(to, &value, sizeof value, MSG_NOSIGNAL) == sizeof value;
}

struct Orders {
  int commands, answers;
};

int obey(void* given) {
  const auto orders = *static_cast<Orders*>(given);
  syscall(SYS_prctl, PR_SET_NAME, sentinel::name, 0, 0, 0);
  for (std::uint32_t times = 0; ::read(orders.commands, &times, sizeof times) == sizeof times;) {
    for (std::uint32_t turn = 0; turn < times; ++turn) syscall(SYS_prctl, PR_SET_NAME, sentinel::name, 0, 0, 0);
    if (!give(orders.answers, times)) break;
  }
  syscall(SYS_exit_group, 0);
  return 0;
}

void some_output(int count) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  char bytes[7] = {};
  for (int turn = 0; turn < count; ++turn) {
    (void)!::write(null, bytes, sizeof bytes);
    (void)!::read(null, bytes, sizeof bytes);
  }
  const int zero = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  (void)!::read(zero, bytes, 3);
  (void)!::read(zero, bytes, 2);
  ::close(zero);
  ::close(null);
}

/// Until a tick of the clock was counted for the kernel's work: a number that is 0 could be any other one.
void be_counted() {
  constexpr long most_us = 200000;
  const int zero = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  static char bytes[65536];
  rusage used{};
  do {
    for (int turn = 0; turn < 50; ++turn) (void)!::read(zero, bytes, sizeof bytes);
    getrusage(RUSAGE_THREAD, &used);
  } while (used.ru_stime.tv_sec == 0 && used.ru_stime.tv_usec == 0 && used.ru_utime.tv_sec == 0 &&
           used.ru_utime.tv_usec < most_us);
  ::close(zero);
}

int work_and_end(void* /*unused*/) {
  some_output(5);
  be_counted();
  syscall(SYS_exit, 0);
  return 0;
}

int wait_for_ever(void* /*unused*/) {
  while (true) pause();
}

/// The process that is dead when it is looked at.
[[noreturn]] void live_and_die() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  some_output(3);
  clone(work_and_end, stacks[0] + stack_bytes, thread_flags | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID, nullptr,
        &first_thread, nullptr, &first_thread);
  while (first_thread != 0) usleep(500);
  clone(wait_for_ever, stacks[1] + stack_bytes, thread_flags, nullptr);
  syscall(SYS_exit_group, sentinel::dead_status);
  _exit(1);
}

/// The number of the first one, 0, is no sign of anything.
void stay_on_last_cpu() {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return;
  int last = CPU_SETSIZE - 1;
  while (last > 0 && !CPU_ISSET(last, &cpus)) --last;
  CPU_ZERO(&cpus);
  CPU_SET(last, &cpus);
  sched_setaffinity(0, sizeof cpus, &cpus);
}

/// The process that is looked at. Its main thread ends; the other one obeys.
[[noreturn]] void live(Orders orders) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  setpgid(0, 0);
  stay_on_last_cpu();
  struct {
    unsigned long handler, flags, restorer, mask;
  } action = {sentinel::handler, 0, 0, 0};
  syscall(SYS_rt_sigaction, sentinel::handled_signal, &action, nullptr, sizeof action.mask);
  some_output(11);
  be_counted();
  syscall(SYS_setresgid, sentinel::gids[0], sentinel::gids[1], sentinel::gids[2]);
  syscall(SYS_setfsgid, sentinel::gids[3]);
  syscall(SYS_setresuid, sentinel::uids[0], sentinel::uids[1], sentinel::uids[2]);
  syscall(SYS_setfsuid, sentinel::uids[3]);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (clone(obey, stacks[0] + stack_bytes, thread_flags, &orders) < 0) _exit(1);
  syscall(SYS_exit, sentinel::leader_status);
  _exit(1);
}

Result<> write_text(const std::string& path, const std::string& text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return Error::from_errno("open " + path);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return Error::from_errno("write " + path);
  return {};
}

/// exit(0), in the fewest bytes that the kernel executes.
std::string smallest_program() {
#if defined(__x86_64__)
  const unsigned char code[] = {0xb8, 0x3c, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05};
  constexpr std::uint16_t machine = 62;
#elif defined(__aarch64__)
  const unsigned char code[] = {0xa8, 0x0b, 0x80, 0xd2, 0, 0, 0x80, 0xd2, 1, 0, 0, 0xd4};
  constexpr std::uint16_t machine = 183;
#else
#error "the code of exit(0) for this machine"
#endif
  constexpr std::uint64_t base = 0x400000, header = 64, table = 56;
  std::string out(
      "\x7f"
      "ELF\x02\x01\x01",
      7);
  out.resize(16);
  const auto put = [&out](auto value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); };
  put(std::uint16_t{2});
  put(machine);
  put(std::uint32_t{1});
  put(std::uint64_t{base + header + table});
  put(std::uint64_t{header});
  put(std::uint64_t{0});
  put(std::uint32_t{0});
  for (const int half : {64, 56, 1, 64, 0, 0}) put(static_cast<std::uint16_t>(half));
  put(std::uint32_t{1});  // PT_LOAD
  put(std::uint32_t{5});  // read, execute
  put(std::uint64_t{0});
  put(std::uint64_t{base});
  put(std::uint64_t{base});
  put(std::uint64_t{header + table + sizeof code});
  put(std::uint64_t{header + table + sizeof code});
  put(std::uint64_t{4096});
  out.append(reinterpret_cast<const char*>(code), sizeof code);
  return out;
}

/// A file in memory; `kept`: across an exec.
Result<UniqueFd> in_memory(const std::string& content, bool kept) {
  UniqueFd file(::memfd_create("nj-proof", kept ? 0U : unsigned{MFD_CLOEXEC}));
  if (!file.valid()) return Error::from_errno("memfd_create");
  if (::write(file.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size()))
    return Error::from_errno("write to a file in memory");
  return file;
}

/// A terminal of a number that is not among the smallest, since those are everywhere.
UniqueFd make_terminal(UniqueFd& controller) {
  UniqueFd opened[3];
  UniqueFd terminal;
  for (UniqueFd& one : opened) {
    one = UniqueFd(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!one.valid()) return terminal;
  }
  int unlock = 0, number = 0;
  if (ioctl(opened[2].get(), TIOCSPTLCK, &unlock) != 0 || ioctl(opened[2].get(), TIOCGPTN, &number) != 0)
    return terminal;
  terminal = UniqueFd(ioctl(opened[2].get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  controller = std::move(opened[2]);  // without it the terminal hangs up
  return terminal;
}

}  // namespace

Puppet::Puppet(Puppet&& other) noexcept
    : parent(std::exchange(other.parent, -1)),
      process(std::exchange(other.process, -1)),
      thread(std::exchange(other.thread, -1)),
      dead(std::exchange(other.dead, -1)),
      file(std::move(other.file)),
      top(std::move(other.top)),
      inner(std::move(other.inner)),
      dead_folder(std::move(other.dead_folder)),
      terminal(std::move(other.terminal)),
      program(std::move(other.program)),
      script(std::move(other.script)),
      cgroup(std::exchange(other.cgroup, {})),
      controller_(std::move(other.controller_)),
      commands_(std::move(other.commands_)),
      answers_(std::move(other.answers_)) {}

Puppet::~Puppet() {
  commands_ = UniqueFd();
  if (parent > 0) {
    kill(parent, SIGKILL);
    waitpid(parent, nullptr, 0);
  }
  if (dead > 0) waitpid(dead, nullptr, 0);
  if (cgroup.empty()) return;
  // The last process leaves its cgroup a moment after it was waited for.
  for (int turn = 0; turn < 200 && ::rmdir(cgroup.c_str()) != 0 && errno == EBUSY; ++turn) usleep(5000);
}

Result<Puppet> Puppet::start() {
  Puppet puppet;
  NIGHTJAR_CHECK(puppet.make_files());
  NIGHTJAR_CHECK(puppet.make_dead());
  NIGHTJAR_CHECK(puppet.make_living());
  return puppet;
}

Result<> Puppet::make_files() {
  file = NIGHTJAR_TRY(in_memory("", false));
  const timespec times[2] = {{1000000007, 123456789}, {sentinel::mtime_sec, sentinel::mtime_nsec}};
  if (ftruncate(file.get(), sentinel::file_size) != 0 || fchmod(file.get(), 0642) != 0 ||
      fchown(file.get(), sentinel::file_uid, sentinel::file_gid) != 0 || futimens(file.get(), times) != 0)
    return Error::from_errno("make a file in memory");
  top = UniqueFd(::open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  inner = UniqueFd(::open(sentinel::working_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top.valid() || !inner.valid()) return Error::from_errno("open /sys/kernel");
  program = NIGHTJAR_TRY(in_memory(smallest_program(), true));
  script = NIGHTJAR_TRY(in_memory("#!/proc/self/fd/" + std::to_string(program.get()) + " x\n", true));
  if (fchmod(program.get(), 0755) != 0 || fchmod(script.get(), 0755) != 0) return Error::from_errno("fchmod");
  // Not executable while open for writing.
  for (UniqueFd* one : {&program, &script}) {
    const int number = one->get();
    const UniqueFd readable(::open(("/proc/self/fd/" + std::to_string(number)).c_str(), O_RDONLY | O_CLOEXEC));
    if (!readable.valid() || dup2(readable.get(), number) != number) return Error::from_errno("open a file in memory");
  }
  terminal = make_terminal(controller_);
  return {};
}

Result<> Puppet::make_dead() {
  dead = fork();
  if (dead < 0) return Error::from_errno("fork");
  if (dead == 0) live_and_die();
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(dead), &info, WEXITED | WNOWAIT) != 0) return Error::from_errno("waitid");
  dead_folder = UniqueFd(::open(("/proc/" + std::to_string(dead)).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dead_folder.valid()) return Error::from_errno("open /proc/PID");
  return {};
}

void Puppet::make_cgroup() {
  std::ifstream mounts("/proc/self/mountinfo"), own("/proc/self/cgroup");
  std::string mount, line, path;
  while (std::getline(mounts, line)) {
    const std::size_t type = line.find(" - cgroup2 ");
    if (type == std::string::npos) continue;
    std::size_t at = 0;
    for (int field = 0; field < 4; ++field) at = line.find(' ', at) + 1;
    mount = line.substr(at, line.find(' ', at) - at);
    break;
  }
  while (std::getline(own, line)) {
    if (line.starts_with("0::")) path = line.substr(3);
  }
  if (mount.empty() || path.empty()) return;
  const std::string folder = mount + (path == "/" ? "" : path) + "/nightjar-proof-" + std::to_string(::getpid());
  if (::mkdir(folder.c_str(), 0755) != 0) return;
  cgroup = folder;
  if (!write_text(folder + "/cgroup.procs", std::to_string(parent))) {
    ::rmdir(folder.c_str());
    cgroup.clear();
  }
}

Result<> Puppet::make_living() {
  Ends commands = NIGHTJAR_TRY(make_pipe()), answers = NIGHTJAR_TRY(make_pipe()), gate = NIGHTJAR_TRY(make_pipe());
  parent = fork();
  if (parent < 0) return Error::from_errno("fork");
  if (parent == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    if (terminal.valid()) ioctl(terminal.get(), TIOCSCTTY, 0);
    char go = 0;
    if (chdir(sentinel::working_directory) != 0 || unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) _exit(1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // other credentials made the kernel forget it
    if (!give(answers.write.get(), go) || !take(gate.read.get(), &go, 1)) _exit(1);
    const pid_t child = fork();
    if (child == 0) {
      close(commands.write.get());
      live({commands.read.get(), answers.write.get()});
    }
    if (child < 0 || !give(answers.write.get(), child)) _exit(1);
    close(commands.write.get());
    waitpid(child, nullptr, 0);
    _exit(0);
  }
  answers.write = UniqueFd();
  commands.read = UniqueFd();
  char ready = 0;
  if (!take(answers.read.get(), &ready, 1))
    return Error(errc::unsupported, "cannot make a process in user and pid namespaces of its own");
  make_cgroup();
  using namespace sentinel;
  const std::string ranges =
      std::to_string(first) + " " + std::to_string(lower_first) + " " + std::to_string(count) + "\n5003 800007 7\n";
  const std::string folder = "/proc/" + std::to_string(parent);
  NIGHTJAR_CHECK(write_text(folder + "/uid_map", ranges));
  NIGHTJAR_CHECK(write_text(folder + "/gid_map", ranges));
  if (!give(gate.write.get(), ready) || !take(answers.read.get(), &process, sizeof process))
    return Error(errc::unsupported, "the process made for the proof does not answer");
  commands_ = std::move(commands.write);
  answers_ = std::move(answers.read);
  NIGHTJAR_CHECK(act(1));
  // The main thread is to be a zombie, the other one is who answered.
  const std::string tasks = "/proc/" + std::to_string(process) + "/task";
  for (int turn = 0; turn < 1000; ++turn) {
    std::error_code problem;
    for (const auto& entry : std::filesystem::directory_iterator(tasks, problem)) {
      const pid_t id = std::atoi(entry.path().filename().c_str());
      if (id != process) thread = id;
    }
    std::ifstream stat(tasks + "/" + std::to_string(process) + "/stat");
    std::string line;
    std::getline(stat, line);
    const std::size_t state = line.rfind(") ");
    if (thread > 0 && state != std::string::npos && line[state + 2] == 'Z') return {};
    usleep(1000);
  }
  return Error(errc::unsupported, "the process made for the proof did not become what it should");
}

Result<> Puppet::act(std::uint32_t times) const {
  std::uint32_t done = 0;
  if (!give(commands_.get(), times) || !take(answers_.get(), &done, sizeof done) || done != times)
    return Error(errc::unsupported, "the process made for the proof does not answer");
  return {};
}

Result<Puppet::Exec> Puppet::prepare_exec() const {
  Ends gate = NIGHTJAR_TRY(make_pipe());
  const std::string path = "/proc/self/fd/" + std::to_string(script.get());
  char* const arguments[] = {const_cast<char*>("nj-proof"),  // NOLINT: execve's type
                             const_cast<char*>(sentinel::exec_argument), nullptr};
  char* const environment[] = {nullptr};
  Exec exec;
  exec.pid = fork();
  if (exec.pid < 0) return Error::from_errno("fork");
  if (exec.pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(gate.write.get());
    char go = 0;
    if (take(gate.read.get(), &go, 1)) execve(path.c_str(), arguments, environment);
    _exit(1);
  }
  exec.gate = std::move(gate.write);
  return exec;
}

void Puppet::let(Exec exec) {
  (void)give(exec.gate.get(), char{1});
  waitpid(exec.pid, nullptr, 0);
}

}  // namespace nightjar::atlas
