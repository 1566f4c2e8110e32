// SPDX-License-Identifier: Apache-2.0
// --pin: the kernel side outlives the agent. A storm goes on while one agent after the other is killed; what they wrote
// together must be what the storm's own log says, each event once and in order.
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cli.hpp"
#include "mounts.hpp"

namespace nightjar::test {
namespace {

/// A workload that begins when it is told to, so that a scope can be put around it before.
class Waiting {
 public:
  explicit Waiting(const Strings& command)
      : Waiting([&command](int go) {
          ::close(go);
          std::vector<char*> words;
          for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
          words.push_back(nullptr);
          ::execv(words[0], words.data());
          return false;
        }) {}
  /// `work` may wait for more bytes, of step(), from the descriptor that it is given.
  explicit Waiting(const std::function<bool(int)>& work) {
    int ends[2];
    if (::pipe(ends) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      char go = 0;
      ::close(ends[1]);
      if (::read(ends[0], &go, 1) != 1) ::_exit(98);
      ::_exit(work(ends[0]) ? 0 : 97);
    }
    ::close(ends[0]);
    go_ = ends[1];
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {
    if (go_ >= 0) ::close(go_);
    if (pid_ > 0 && !over(false)) {
      ::kill(pid_, SIGKILL);
      over(true);
    }
  }
  void step() const { (void)!::write(go_, "g", 1); }
  void begin() {
    step();
    ::close(std::exchange(go_, -1));
  }
  bool over(bool wait) {
    if (pid_ > 0 && ::waitpid(pid_, &status_, wait ? 0 : WNOHANG) == pid_) pid_ = -1;
    return pid_ < 0;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int status() const { return status_; }

 private:
  pid_t pid_ = -1;
  int go_ = -1, status_ = -1;
};

class Pins : public testing::Test {
 protected:
  void SetUp() override {
    if (!files_.valid()) GTEST_SKIP() << files_.why_not();
    // Links of perf events can be pinned since 5.15, ring buffers exist since 5.8: older ones refuse, which is a test
    // of its own.
    const Outcome outcome =
        run_agent({.arguments = arguments("file:" + (temp_ / "probe"), ::getpid(), {"--duration", "0.1"})});
    if (outcome.status == 3) GTEST_SKIP() << outcome.err;
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  /// Through this process, which has the file system: nobody else sees it.
  [[nodiscard]] std::string directory() const {
    const std::string path = files_.path();
    return "/proc/" + std::to_string(::getpid()) + path.substr(std::string("/proc/self").size()) + "/pins";
  }
  [[nodiscard]] Strings arguments(const std::string& output, pid_t tree, const Strings& more = {}) const {
    Strings all{"run", "--pin", directory(), "--scope", "tree:" + std::to_string(tree), "--output", output};
    const auto add = [&](const Strings& words) { all.insert(all.end(), words.begin(), words.end()); };
    add(tier_options());
    add(more.empty() || std::find(more.begin(), more.end(), "--events") == more.end() ? Strings{"--events", "process"}
                                                                                      : Strings{});
    add(more);
    return all;
  }

  std::vector<json> told_by_killed_agents(Waiting& work, const Strings& options, const std::vector<int>& lives_ms);

  /// An agent sees the storm before it begins, and stops by itself; what happens then, none sees.
  void storm_between_agents(Waiting& storm, const std::string& output) const {
    const Outcome first =
        run_agent({.arguments = arguments("file:" + output, storm.pid(), {"--keep-pins", "--duration", "0.5"})});
    EXPECT_EQ(first.status, 0) << first.err;
    EXPECT_TRUE(std::filesystem::exists(directory() + "/agent"));
    storm.begin();
    ASSERT_TRUE(storm.over(true));
  }

  PrivateMount files_{"bpf"};
  TempDir temp_;
};

std::size_t size_of(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

bool wait_for(const std::function<bool()>& what, int seconds = 30) {
  const auto until = std::chrono::steady_clock::now() + patience(seconds);
  while (!what()) {
    if (std::chrono::steady_clock::now() > until) return false;
    ::usleep(2000);
  }
  return true;
}

std::vector<json> events_in(const Strings& files) {
  std::vector<json> events;
  for (const auto& file : files) {
    std::istringstream in(read_file(file));
    for (std::string line; std::getline(in, line);) {
      auto event = json::parse(line, nullptr, false);
      EXPECT_FALSE(event.is_discarded()) << file << " has half a line: " << line.substr(0, 200);
      if (!event.is_discarded()) events.push_back(std::move(event));
    }
  }
  return events;
}

Strings own_events(const std::vector<json>& events, std::int64_t pid) {
  Strings actions;
  for (const auto& event : events) {
    if (at(event, "process.pid") == pid && is_process_event(event)) actions.push_back(action_of(event));
  }
  return actions;
}

void expect_each_once_in_order(const std::vector<json>& events, const std::vector<json>& children) {
  std::map<std::int64_t, Strings> actions;
  std::int64_t last = 0;
  std::uint64_t sequence = 0;
  for (const auto& event : events) {
    const auto number = at(event, "event.sequence").get<std::uint64_t>();
    EXPECT_EQ(number, sequence + 1) << "at " << event.dump().substr(0, 300);
    sequence = number;
    EXPECT_NE(action_of(event), "events_lost") << event;
    if (!is_process_event(event) || action_of(event) == "process_snapshot") continue;
    actions[at(event, "process.pid").get<std::int64_t>()].push_back(action_of(event));
    const auto time = nanoseconds(text_at(event, "@timestamp"));
    EXPECT_GE(time, last) << event.dump().substr(0, 300);
    last = time;
  }
  for (const auto& child : children) {
    ASSERT_EQ(actions[child.at("pid").get<std::int64_t>()], (Strings{"fork", "exec", "exit"})) << child;
  }
}

class PinsInAStorm : public Pins {
 protected:
  /// Kills an agent after each number of milliseconds, while the storm goes on. The output of each is OUTPUTS' next.
  void kill_in_a_storm(const Strings& outputs, const std::vector<int>& lives_ms, const Strings& options = {}) {
    const std::string log = temp_ / "log";
    const int count = scaled(2003, 1009);
    Waiting storm({workload("exec_storm"), log, "2", std::to_string(count), workload("tiny"), "1"});
    const pid_t root = storm.pid();
    std::size_t in_time = 0;
    for (std::size_t i = 0; i < lives_ms.size(); ++i) {
      const std::string& output = outputs[std::min(i, outputs.size() - 1)];
      const std::size_t before = size_of(output);
      Agent agent({.arguments = arguments("file:" + output, root, options), .timeout = patience(120)});
      ASSERT_TRUE(wait_for([&] { return size_of(output) > before; })) << "agent " << i;
      if (i == 0) {
        storm.begin();
        ASSERT_TRUE(wait_for([&] { return size_of(output) > before + 20000; }));
      }
      ::usleep(static_cast<useconds_t>(lives_ms[i]) * 1000);
      agent.send_signal(SIGKILL);
      EXPECT_EQ(agent.finish().status, 256 + SIGKILL);
      in_time += storm.over(false) ? 0 : 1;
      ::usleep(50000);
    }
    // In a guest an agent takes seconds to begin.
    EXPECT_GE(in_time, in_vm() ? 1 : lives_ms.size()) << "the storm was over before agents were killed: nothing tested";
    Agent last({.arguments = arguments("file:" + outputs.back(), root, options), .timeout = patience(120)});
    storm.over(true);
    EXPECT_EQ(storm.status(), 0);
    // Until nothing more comes.
    std::size_t size = 0;
    for (int quiet = 0; quiet < 10; ++quiet) {
      ::usleep(100000);
      if (std::exchange(size, size_of(outputs.back())) != size) quiet = 0;
    }
    last.send_signal(SIGTERM);
    const Outcome outcome = last.finish();
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_NE(outcome.err.find("took over"), std::string::npos) << outcome.err;
    std::vector<json> children;
    std::istringstream lines(read_file(log));
    for (std::string line; std::getline(lines, line);) {
      auto entry = json::parse(line);
      if (entry.at("t") == "start") children.push_back(std::move(entry));
    }
    ASSERT_EQ(children.size(), static_cast<std::size_t>(count));
    Strings files;
    for (const auto& output : outputs) files.push_back(output);
    expect_each_once_in_order(events_in(files), children);
    EXPECT_FALSE(std::filesystem::exists(directory())) << "a clean stop leaves no pins";
  }
};

TEST_F(PinsInAStorm, killed_agents_lose_and_repeat_nothing_in_one_file) {
  SKIP_WHERE_PREEMPTED();
  kill_in_a_storm({temp_ / "events"}, {61, 13, 47});
}
TEST_F(PinsInAStorm, killed_agents_lose_and_repeat_nothing_when_the_next_has_another_file) {
  SKIP_WHERE_PREEMPTED();
  kill_in_a_storm({temp_ / "first", temp_ / "second"}, {97});
}

TEST_F(PinsInAStorm, killed_agents_lose_and_repeat_nothing_that_waits_for_a_digest) {
  SKIP_WHERE_PREEMPTED();
  kill_in_a_storm({temp_ / "events"}, {31, 71}, {"--hash"});
}

/// What agents tell of `work` that are killed after each number of milliseconds of it, and of the one that sees its
/// end.
std::vector<json> Pins::told_by_killed_agents(Waiting& work, const Strings& options, const std::vector<int>& lives_ms) {
  const std::string output = temp_ / "events";
  const pid_t root = work.pid();
  bool begun = false;
  for (const int life : lives_ms) {
    const std::size_t before = size_of(output);
    Agent agent({.arguments = arguments("file:" + output, root, options)});
    EXPECT_TRUE(wait_for([&] { return size_of(output) > before; }));
    if (!std::exchange(begun, true)) work.begin();
    ::usleep(static_cast<useconds_t>(life) * 1000);
    EXPECT_FALSE(in_vm() ? false : work.over(false)) << "it was over before the agent was killed: nothing tested";
    agent.send_signal(SIGKILL);
    agent.finish();
  }
  const std::size_t before = size_of(output);
  Agent last({.arguments = arguments("file:" + output, root, options)});
  EXPECT_TRUE(wait_for([&] { return size_of(output) > before; }));
  work.over(true);
  EXPECT_EQ(work.status(), 0);
  ::usleep(in_vm() ? 3000000 : 300000);
  last.send_signal(SIGTERM);
  const Outcome outcome = last.finish();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("took over"), std::string::npos) << outcome.err;
  return events_in({output});
}

std::uint64_t lost_of(const std::vector<json>& events, const std::string& what) {
  std::uint64_t count = 0;
  for (const auto& event : events) {
    if (action_of(event) == "events_lost" && text_at(event, "nightjar.lost.class") == what)
      count += at(event, "nightjar.lost.count").get<std::uint64_t>();
  }
  return count;
}

/// Sends `count` datagrams to itself on the loopback, over a socket each or over one, one each millisecond.
bool send_datagrams(int count, bool one_socket) {
  const auto bound = [] {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? fd : -1;
  };
  const int receiver = bound();
  sockaddr_in to{};
  socklen_t size = sizeof to;
  if (::getsockname(receiver, reinterpret_cast<sockaddr*>(&to), &size) != 0) return false;
  int sender = -1;
  for (int i = 0; i < count; ++i) {
    if (sender < 0) {
      sender = bound();
      if (::connect(sender, reinterpret_cast<const sockaddr*>(&to), size) != 0) return false;
    }
    char byte = 'x';
    if (::send(sender, &byte, 1, 0) != 1 || ::recv(receiver, &byte, 1, 0) != 1) return false;
    if (!one_socket) ::close(std::exchange(sender, -1));
    ::usleep(1000);
  }
  return true;
}

TEST_F(PinsInAStorm, a_flow_of_datagrams_goes_on_under_the_next_agent) {
  SKIP_WHERE_PREEMPTED();
  const int count = scaled(2003, 20011);  // in a guest an agent takes seconds to begin
  Waiting work([count](int) { return send_datagrams(count, true); });
  const pid_t pid = work.pid();
  const auto events = told_by_killed_agents(work, {"--events", "process,network"}, {150, 50});
  std::map<std::string, std::vector<json>> starts, ends;
  for (const auto& event : events) {
    if (!action_of(event).starts_with("udp_") || at(event, "process.pid") != pid) continue;
    (has_element(at(event, "event.type"), "start") ? starts : ends)[action_of(event)].push_back(event);
  }
  for (const auto* action : {"udp_send", "udp_receive"}) {
    EXPECT_EQ(starts[action].size(), 1U) << action;
    ASSERT_EQ(ends[action].size(), 1U) << action;
    EXPECT_EQ(at(ends[action][0], "source.packets"), count) << ends[action][0];
    EXPECT_EQ(at(ends[action][0], "nightjar.suppressed.count"), count - 1) << ends[action][0];
  }
  EXPECT_EQ(lost_of(events, "udp_flow"), 0U);
}

// A flow that an agent had taken from the kernel's table and not told when it was killed is counted as lost.
TEST_F(PinsInAStorm, each_flow_of_datagrams_is_told_or_counted) {
  SKIP_WHERE_PREEMPTED();
  const int count = scaled(2003, 401);
  Waiting work([count](int) { return send_datagrams(count, false); });
  const pid_t pid = work.pid();
  const auto events = told_by_killed_agents(work, {"--events", "process,network"}, {170, 90, 130});
  int starts = 0, ends = 0;
  for (const auto& event : events) {
    // The receiver's flows are told at its end, or after 30 s.
    if (action_of(event) != "udp_send" || at(event, "process.pid") != pid) continue;
    ++(has_element(at(event, "event.type"), "start") ? starts : ends);
  }
  EXPECT_EQ(starts, count);
  EXPECT_LE(ends, count);
  EXPECT_GE(static_cast<std::uint64_t>(ends) + lost_of(events, "udp_flow"), static_cast<std::uint64_t>(count));
}

TEST_F(PinsInAStorm, what_is_above_a_rate_limit_is_counted_once) {
  SKIP_WHERE_PREEMPTED();
  const int count = scaled(2003, 401);
  Waiting work([count](int) {
    for (int i = 0; i < count; ++i) {
      const int fd = ::memfd_create("nightjar", MFD_CLOEXEC);
      if (fd < 0) return false;
      ::close(fd);
      ::usleep(500);
    }
    return true;
  });
  const auto events = told_by_killed_agents(work, {"--events", "process,memory", "--rate-limit", "7"}, {150, 50, 90});
  std::uint64_t told = 0, held_back = 0;
  for (const auto& event : events) {
    if (action_of(event) == "memfd_create") ++told;
    if (action_of(event) != "events_suppressed") continue;
    EXPECT_TRUE(text_at(event, "nightjar.suppressed.key").starts_with("rate_limit")) << event;
    held_back += at(event, "nightjar.suppressed.count").get<std::uint64_t>();
  }
  EXPECT_GT(told, 6U);
  EXPECT_GT(held_back, 0U);
  EXPECT_EQ(told + held_back + lost_of(events, "memfd_create"), static_cast<std::uint64_t>(count));
}

/// A question over TCP in two halves, the second when it is told to; in a network namespace of its own, for port 53.
bool ask_in_halves(int go) {
  ifreq loopback{};
  std::strcpy(loopback.ifr_name, "lo");
  loopback.ifr_flags = IFF_UP;
  if (::unshare(CLONE_NEWNET) != 0 || ::ioctl(::socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &loopback) != 0)
    return false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(53);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* any = reinterpret_cast<const sockaddr*>(&address);
  const int server = ::socket(AF_INET, SOCK_STREAM, 0), client = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::bind(server, any, sizeof address) != 0 || ::listen(server, 1) != 0) return false;
  if (::connect(client, any, sizeof address) != 0) return false;
  const int accepted = ::accept(server, nullptr, nullptr);
  // www.example.org, type A, with its length before it.
  const std::string question("\0\41\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\7example\3org\0\0\1\0\1", 35);
  const auto ask = [&](const std::string& bytes) {
    return ::send(client, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
  };
  char byte = 0;
  std::string heard(question.size() * 2, '\0');
  return ask(question) && ask(question.substr(0, 13)) && ::read(go, &byte, 1) == 1 && ask(question.substr(13)) &&
         ::recv(accepted, heard.data(), heard.size(), MSG_WAITALL) == static_cast<ssize_t>(heard.size());
}

// Who adopts does not know the half that the agent before had read: what it cannot join it says it cannot read.
TEST_F(PinsInAStorm, a_question_over_tcp_is_told_or_said_to_be_unreadable) {
  SKIP_WHERE_PREEMPTED();
  const std::string output = temp_ / "events";
  const Strings options{"--events", "process,network"};
  Waiting work(ask_in_halves);
  const pid_t root = work.pid();
  {
    Agent first({.arguments = arguments("file:" + output, root, options)});
    ASSERT_TRUE(wait_for([&] { return size_of(output) != 0; }));
    work.step();
    ASSERT_TRUE(wait_for([&] { return read_file(output).find("dns_query") != std::string::npos; }));
    ::usleep(in_vm() ? 2000000 : 500000);
    first.send_signal(SIGKILL);
    first.finish();
  }
  work.begin();
  ASSERT_TRUE(work.over(true));
  ASSERT_EQ(work.status(), 0);
  const Outcome next = run_agent({.arguments = [&] {
    auto all = arguments("file:" + output, root, options);
    all.insert(all.end(), {"--duration", "2"});
    return all;
  }()});
  EXPECT_EQ(next.status, 0) << next.err;
  std::uint64_t told = 0, unreadable = 0;
  for (const auto& event : events_in({output})) {
    if (action_of(event) == "dns_query") ++told;
    if (action_of(event) == "sensor_stopped")
      unreadable = at(event, "nightjar.stats.malformed_dns").get<std::uint64_t>();
  }
  EXPECT_GE(told, 1U);
  EXPECT_EQ(told + std::min<std::uint64_t>(unreadable, 1), 2U) << told << " told, " << unreadable << " unreadable";
}

TEST_F(Pins, hold_what_fits_and_the_rest_is_counted) {
  const std::string log = temp_ / "log";
  const std::string output = temp_ / "events";
  const Strings small{"--buffer", "65536"};
  const int count = scaled(2003, 211);
  Waiting storm({workload("exec_storm"), log, "1", std::to_string(count), workload("tiny"), "1"});
  const pid_t root = storm.pid();
  {
    Agent first({.arguments = arguments("file:" + output, root, small)});
    ASSERT_TRUE(wait_for([&] { return size_of(output) != 0; }));
    first.send_signal(SIGKILL);
    first.finish();
  }
  storm.begin();
  ASSERT_TRUE(storm.over(true));
  Strings more = small;
  more.insert(more.end(), {"--duration", "2"});
  const Outcome next = run_agent({.arguments = arguments("file:" + output, root, more)});
  EXPECT_EQ(next.status, 0) << next.err;
  std::map<std::string, std::uint64_t> told, lost;
  for (const auto& event : events_in({output})) {
    if (action_of(event) != "events_lost") {
      ++told[action_of(event)];
      continue;
    }
    EXPECT_EQ(text_at(event, "nightjar.lost.reason"), "buffer_full") << event;
    lost[text_at(event, "nightjar.lost.class")] += at(event, "nightjar.lost.count").get<std::uint64_t>();
  }
  // The children, their parent, and the storm itself, which was there before.
  const auto expected = static_cast<std::uint64_t>(count);
  EXPECT_EQ(told["fork"] + lost["fork"], expected + 1);
  EXPECT_EQ(told["exec"] + lost["exec"], expected + 1);
  EXPECT_EQ(told["exit"] + lost["exit"], expected + 2);
  EXPECT_GT(told["exec"], 0U);
  EXPECT_GT(lost["exec"], 0U) << "everything fitted: nothing was tested";
}

TEST_F(Pins, are_their_owners_alone_and_go_with_rm) {
  const std::string output = temp_ / "events";
  Waiting root({workload("tiny")});
  const Outcome first =
      run_agent({.arguments = arguments("file:" + output, root.pid(), {"--keep-pins", "--duration", "0.3"})});
  EXPECT_EQ(first.status, 0) << first.err;
  struct stat status{};
  ASSERT_EQ(::stat(directory().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory())) {
    if (entry.is_directory()) continue;
    ++files;
    ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U) << entry.path();
    EXPECT_EQ(status.st_uid, ::geteuid()) << entry.path();
  }
  EXPECT_GT(files, 10);
  // As the manual says: rm -r DIR.
  std::filesystem::remove_all(directory());
  const Outcome next = run_agent({.arguments = arguments("file:" + output, root.pid(), {"--duration", "0.3"})});
  EXPECT_EQ(next.status, 0) << next.err;
  EXPECT_EQ(next.err.find("took over"), std::string::npos) << next.err;
}

TEST_F(Pins, of_another_version_are_replaced) {
  Waiting root({workload("tiny")});
  const auto run = [&](const Strings& more) {
    return run_agent({.arguments = arguments("file:" + (temp_ / "events"), root.pid(), more)});
  };
  EXPECT_EQ(run({"--keep-pins", "--duration", "0.3"}).status, 0);
  // A state that no agent of this build made.
  bpf_attr make{};
  make.map_type = BPF_MAP_TYPE_ARRAY;
  make.key_size = 4;
  make.value_size = 4096;
  make.max_entries = 1;
  const long map = ::syscall(SYS_bpf, BPF_MAP_CREATE, &make, sizeof make);
  ASSERT_GE(map, 0) << std::strerror(errno);
  const std::string place = directory() + "/agent";
  ASSERT_EQ(::unlink(place.c_str()), 0);
  bpf_attr pin{};
  pin.pathname = reinterpret_cast<std::uintptr_t>(place.c_str());
  pin.bpf_fd = static_cast<std::uint32_t>(map);
  ASSERT_EQ(::syscall(SYS_bpf, BPF_OBJ_PIN, &pin, sizeof pin), 0) << std::strerror(errno);
  ::close(static_cast<int>(map));
  const Outcome next = run({"--duration", "0.3"});
  EXPECT_EQ(next.status, 0) << next.err;
  EXPECT_NE(next.err.find("was made by another version of nightjar"), std::string::npos) << next.err;
  EXPECT_FALSE(std::filesystem::exists(directory()));
}

TEST_F(Pins, what_happens_while_no_agent_runs_is_told_by_the_next) {
  const std::string log = temp_ / "log";
  const std::string output = temp_ / "events";
  Waiting storm({workload("exec_storm"), log, "1", "7", workload("tiny"), "1"});
  {
    Agent first({.arguments = arguments("file:" + output, storm.pid())});
    ASSERT_TRUE(wait_for([&] { return size_of(output) != 0; }));
    // What was written and not noted down yet would be cut off: the snapshot, which cannot come again.
    std::this_thread::sleep_for(patience(1) / 2);
    first.send_signal(SIGKILL);
    first.finish();
  }
  storm.begin();
  const pid_t root = storm.pid();
  ASSERT_TRUE(storm.over(true));
  const Outcome next = run_agent({.arguments = arguments("file:" + output, root, {"--duration", "1"})});
  EXPECT_EQ(next.status, 0) << next.err;
  const auto events = events_in({output});
  EXPECT_EQ(own_events(events, root), (Strings{"process_snapshot", "exec", "exit"}));
  EXPECT_EQ(std::count_if(events.begin(), events.end(), [](const json& e) { return action_of(e) == "exit"; }), 9);
}

TEST_F(Pins, told_to_keep_them_a_clean_stop_leaves_no_gap) {
  const std::string output = temp_ / "events";
  Waiting storm({workload("exec_storm"), temp_ / "log", "1", "7", workload("tiny"), "1"});
  const pid_t root = storm.pid();
  ASSERT_NO_FATAL_FAILURE(storm_between_agents(storm, output));
  const Outcome next = run_agent({.arguments = arguments("file:" + output, root, {"--duration", "1"})});
  EXPECT_EQ(next.status, 0) << next.err;
  EXPECT_NE(next.err.find("took over"), std::string::npos) << next.err;
  EXPECT_EQ(own_events(events_in({output}), root), (Strings{"process_snapshot", "exec", "exit"}));
  EXPECT_FALSE(std::filesystem::exists(directory()));
}

TEST_F(Pins, of_other_settings_are_replaced_and_the_loss_is_told) {
  Waiting storm({workload("exec_storm"), temp_ / "log", "1", "7", workload("tiny"), "1"});
  ASSERT_NO_FATAL_FAILURE(storm_between_agents(storm, temp_ / "events"));
  const std::string other = temp_ / "other";
  const Outcome next =
      run_agent({.arguments = arguments("file:" + other, ::getpid(), {"--buffer", "65536", "--duration", "0.5"})});
  EXPECT_EQ(next.status, 0) << next.err;
  EXPECT_NE(next.err.find("replaced: it was made with other settings"), std::string::npos) << next.err;
  std::map<std::string, std::uint64_t> lost;
  for (const auto& event : events_in({other})) {
    if (action_of(event) != "events_lost") continue;
    EXPECT_EQ(text_at(event, "nightjar.lost.reason"), "replaced");
    lost[text_at(event, "nightjar.lost.class")] += at(event, "nightjar.lost.count").get<std::uint64_t>();
  }
  // One parent, 7 children, and the storm itself, which execs before it begins.
  EXPECT_EQ(lost["fork"], 8U);
  EXPECT_EQ(lost["exec"], 8U);
  EXPECT_EQ(lost["exit"], 9U);
  EXPECT_FALSE(std::filesystem::exists(directory()));
}

// Adopted, what is left would see less than it says.
TEST_F(Pins, of_which_some_were_taken_away_are_replaced_and_the_agent_says_so) {
  const std::string output = temp_ / "events", metrics = temp_ / "metrics";
  Waiting root({workload("tiny")});
  const auto of = [&](const Strings& more) { return arguments("file:" + output, root.pid(), more); };
  {
    Agent agent({.arguments = of({"--stats-interval", "1", "--metrics", "file:" + metrics})});
    ASSERT_TRUE(wait_for([&] { return size_of(output) != 0; }));
    std::size_t links = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory() + "/process")) {
      if (!entry.path().filename().string().starts_with("link~") || links == 2) continue;
      std::filesystem::remove(entry.path());
      ++links;
    }
    ASSERT_EQ(links, 2U);
    EXPECT_TRUE(wait_for([&] { return read_file(metrics).find("nightjar_pins_missing 2\n") != std::string::npos; }))
        << read_file(metrics);
    agent.send_signal(SIGKILL);
    EXPECT_NE(agent.finish().err.find("somebody took away 2 pins"), std::string::npos);
  }
  const Outcome next = run_agent({.arguments = of({"--duration", "0.3"})});
  EXPECT_EQ(next.status, 0) << next.err;
  EXPECT_EQ(next.err.find("took over"), std::string::npos) << next.err;
  EXPECT_NE(next.err.find("replaced: 2 of its "), std::string::npos) << next.err;
}

TEST_F(Pins, that_are_taken_away_are_told) {
  const std::string output = temp_ / "events";
  Waiting attacker([this](int) {
    if (::chdir(directory().c_str()) != 0) return false;
    const std::filesystem::directory_iterator entries("process");
    return ::unlink(entries->path().c_str()) == 0 && ::unlink("agent") == 0;
  });
  Agent agent({.arguments = arguments("file:" + output, attacker.pid(), {"--events", "process,file"})});
  ASSERT_TRUE(wait_for([&] { return size_of(output) != 0; }));
  attacker.begin();
  attacker.over(true);
  EXPECT_EQ(attacker.status(), 0);
  ::usleep(in_vm() ? 2000000 : 300000);
  agent.send_signal(SIGTERM);
  EXPECT_EQ(agent.finish().status, 0);
  Strings told;
  for (const auto& event : events_in({output})) {
    if (action_of(event) == "delete") told.push_back(text_at(event, "file.path"));
  }
  ASSERT_EQ(told.size(), 2U);
  EXPECT_NE(told[0].find("/pins/process/"), std::string::npos) << told[0];
  EXPECT_TRUE(told[1].ends_with("/pins/agent")) << told[1];
}

TEST_F(Pins, belong_to_one_agent_at_a_time) {
  const std::string output = temp_ / "events";
  Agent first({.arguments = arguments("file:" + output, ::getpid())});
  ASSERT_TRUE(wait_for([&] { return size_of(output) != 0; }));
  expect_refusal(run_agent({.arguments = arguments("file:" + (temp_ / "other"), ::getpid())}), 1, directory());
  first.send_signal(SIGTERM);
  EXPECT_EQ(first.finish().status, 0);
}

TEST_F(Pins, are_refused_where_they_cannot_be) {
  const std::string self = "tree:" + std::to_string(::getpid());
  expect_refusal(nightjar({"run", "--scope", self, "--pin", temp_ / "pins"}), 2, temp_ / "pins");
  expect_refusal(nightjar({"run", "--scope", self, "--pin", directory(), "--transport", "perf"}), 3, "perf buffer");
  ASSERT_EQ(::mkdir(directory().c_str(), 0700), 0);
  ASSERT_EQ(::chmod(directory().c_str(), 0777), 0);
  expect_refusal(nightjar({"run", "--scope", self, "--pin", directory()}), 1, "other users can write it");
  ASSERT_EQ(::rmdir(directory().c_str()), 0);
}

}  // namespace
}  // namespace nightjar::test
