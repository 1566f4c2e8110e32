// SPDX-License-Identifier: Apache-2.0
// Nothing stays attached, whatever ends the agent. The programs, links and maps that it holds are read from its own
// /proc/PID/fdinfo while it runs; afterwards their ids must be gone.
#include <csignal>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>

#include <unistd.h>

#include <linux/bpf.h>
#include <sys/syscall.h>

#include "cli.hpp"

namespace nightjar::test {
namespace {

enum class Object : std::uint8_t { program, map, link };
using Objects = std::set<std::pair<Object, std::uint32_t>>;

bool exists(Object kind, std::uint32_t id) {
  bpf_attr attr{};
  std::memset(&attr, 0, sizeof(attr));
  attr.prog_id = id;
  constexpr int commands[] = {BPF_PROG_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID, BPF_LINK_GET_FD_BY_ID};
  const long fd = ::syscall(SYS_bpf, commands[static_cast<std::size_t>(kind)], &attr, sizeof(attr));
  if (fd >= 0) ::close(static_cast<int>(fd));
  return fd >= 0;
}

// Of the agent and of what it started itself.
Objects held_by(pid_t pid) {
  Objects objects;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fdinfo", error)) {
    std::istringstream info(read_file(entry.path()));
    for (std::string line; std::getline(info, line);) {
      std::istringstream words(line);
      std::string name;
      std::uint32_t id = 0;
      words >> name >> id;
      if (name == "prog_id:") objects.emplace(Object::program, id);
      if (name == "map_id:") objects.emplace(Object::map, id);
      if (name == "link_id:") objects.emplace(Object::link, id);
    }
  }
  return objects;
}

Objects still_there(const Objects& objects) {
  Objects left;
  // Programs are freed after a grace period: within a second, in a guest later.
  const auto until = std::chrono::steady_clock::now() + (in_vm() ? patience(10) : std::chrono::milliseconds(1000));
  while (std::chrono::steady_clock::now() < until) {
    left.clear();
    for (const auto& one : objects) {
      if (exists(one.first, one.second)) left.insert(one);
    }
    if (left.empty()) break;
    ::usleep(50000);
  }
  return left;
}

std::size_t kprobe_events() {
  std::size_t count = 0;
  for (const auto* path : {"/sys/kernel/tracing/kprobe_events", "/sys/kernel/debug/tracing/kprobe_events"}) {
    const std::string text = read_file(path);
    count += static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }
  return count;
}

void expect_nothing_left_after(int signal) {
  const std::size_t probes = kprobe_events();
  Objects objects;
  {
    Agent agent({.arguments = watch_arguments({"--events", "all"}, {"/bin/sleep", "600"})});
    ASSERT_TRUE(agent.wait_for_output("\"action\":\"exec\"", patience(30)));
    objects = held_by(agent.pid());
    ASSERT_FALSE(objects.empty()) << "nothing to look for";
    agent.send_signal(signal);
    // ~Agent ends the rest of its process group: COMMAND outlives an agent that is killed.
  }
  for (const auto& [kind, id] : still_there(objects)) {
    ADD_FAILURE() << (kind == Object::program ? "program "
                      : kind == Object::map   ? "map "
                                              : "link ")
                  << id << " is left";
  }
  EXPECT_EQ(kprobe_events(), probes);
}

TEST(Leftovers, are_none_after_sigkill) {
  expect_nothing_left_after(SIGKILL);
}
TEST(Leftovers, are_none_after_sigterm) {
  expect_nothing_left_after(SIGTERM);
}
TEST(Leftovers, are_none_after_sigsegv) {
  expect_nothing_left_after(SIGSEGV);
}

// Killed, it leaves COMMAND alone: a sensor must not end what it looks at.
TEST(Leftovers, are_not_in_the_way_of_the_command_when_the_agent_is_killed) {
  const TempDir temp;
  {
    Agent agent({.arguments = watch_arguments({}, {"/bin/sh", "-c", "sleep 1; echo done > " + (temp / "done")})});
    ASSERT_TRUE(agent.wait_for_output("\"action\":\"exec\"", patience(30)));
    agent.send_signal(SIGKILL);
    for (int i = 0; i < 100 && read_file(temp / "done").empty(); i++) ::usleep(100000);
  }
  EXPECT_EQ(read_file(temp / "done"), "done\n");
}

}  // namespace
}  // namespace nightjar::test
