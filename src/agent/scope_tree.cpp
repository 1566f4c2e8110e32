// SPDX-License-Identifier: Apache-2.0
#include "agent/scope_tree.hpp"

#include <charconv>
#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include "wire/base.h"

namespace nightjar {
namespace {

struct Parentage {
  std::uint32_t pid, parent;
};

std::vector<Parentage> all_processes() {
  std::vector<Parentage> processes;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(opendir("/proc"), closedir);
  while (const dirent* entry = proc ? readdir(proc.get()) : nullptr) {
    const std::string_view name = static_cast<const char*>(entry->d_name);
    Parentage process{};
    if (std::from_chars(name.data(), name.data() + name.size(), process.pid).ec != std::errc()) continue;
    const std::string stat = read_small_file("/proc/" + std::string(name) + "/stat");
    const auto after_name = stat.rfind(')');
    if (after_name == std::string::npos || after_name + 4 >= stat.size()) continue;
    std::from_chars(stat.data() + after_name + 4, stat.data() + stat.size(), process.parent);
    processes.push_back(process);
  }
  return processes;
}

Result<> put(const Map& tree, std::uint32_t pid, const wire_scope_entry& entry) {
  auto set = tree.set(pid, entry);
  if (!set) return std::move(set).error().in("cannot put a process into the scope");
  return {};
}

}  // namespace

Result<> begin_tree(const Map& tree, const SelfTask& self) {
  // Without the iterator the agent knows itself by the pid it sees, which in a pid namespace is not the kernel's.
  const std::uint32_t pid = self.pid != 0 ? self.pid : static_cast<std::uint32_t>(getpid());
  return put(tree, pid, {self.start_ns, 1, 0});
}

Result<> fill_tree(const Map& tree, std::uint32_t root) {
  if (kill(static_cast<pid_t>(root), 0) != 0 && errno == ESRCH)
    return Error(errc::not_found, "--scope tree:" + std::to_string(root) + ": there is no such process");
  std::set<std::uint32_t> members{root};
  NIGHTJAR_CHECK(put(tree, root, {0, 0, 0}));
  // Again until nothing new turns up: a process that was not yet a member may have forked while others were read.
  for (bool grew = true; grew;) {
    grew = false;
    for (const Parentage& process : all_processes()) {
      if (!members.contains(process.parent) || !members.insert(process.pid).second) continue;
      grew = true;
      NIGHTJAR_CHECK(put(tree, process.pid, {0, 0, 0}));
    }
  }
  return {};
}

Result<bool> tree_is_over(const Map& tree, std::uint32_t self) {
  if (self == 0) self = static_cast<std::uint32_t>(getpid());
  bool over = true;
  NIGHTJAR_CHECK(tree.for_each_key([&](std::span<const std::byte> key) {
    std::uint32_t pid = 0;
    std::memcpy(&pid, key.data(), sizeof pid);
    // An entry whose process is gone is left from an exit that the kernel did not show us.
    if (pid != self && (kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH)) over = false;
    return over;
  }));
  return over;
}

}  // namespace nightjar
