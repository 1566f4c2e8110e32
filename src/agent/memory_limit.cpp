// SPDX-License-Identifier: Apache-2.0
#include "agent/memory_limit.hpp"

#include <charconv>
#include <string_view>

#include "agent/host.hpp"
#include "agent/proc_files.hpp"

namespace nightjar {
namespace {

// Measured in a cgroup of version 1, kernel 6.18 (memory.max_usage_in_bytes): 36 MB with 12 MB of maps, 76 MB with
// 45 MB. What is above the maps is the agent's own, and what the kernel takes to load programs: 24 MB, and some more,
// as the kernel ends who takes the last page.
constexpr std::uint64_t own_bytes = 28U << 20;
constexpr std::uint64_t share_of_maps = 6;

/// The cgroup of this process below the mount, as a path there; empty: the mount itself, or not below it.
std::string path_below(const CgroupMount& mount, const ProcCgroups& own) {
  const auto& whole = mount.is_unified ? own.unified : own.memory;
  std::string path = whole.value_or("");
  // In a container without a cgroup namespace the mount begins at the container's own cgroup.
  const std::size_t above = mount.root.size();
  if (mount.root != "/" && path.starts_with(mount.root) && (path.size() == above || path[above] == '/'))
    path.erase(0, above);
  // ".." is above what a cgroup namespace shows.
  return path == "/" || path.find("/..") != std::string::npos ? "" : path;
}

void look(const std::string& root, const std::string& directory, std::string_view limit_file,
          std::optional<MemoryLimit>& smallest) {
  const std::string text = read_small_file(root + directory + '/' + std::string(limit_file));
  std::uint64_t bytes = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), bytes).ec != std::errc{}) return;  // "max", or no file
  if (!smallest || bytes < smallest->bytes) smallest = {directory, bytes};
}

std::string megabytes(std::uint64_t bytes) {
  return std::to_string((bytes + (1U << 19)) >> 20) + " MB";
}

}  // namespace

std::optional<MemoryLimit> memory_limit(const std::string& root) {
  const ProcCgroups own = parse_proc_cgroup(read_small_file(root + "/proc/self/cgroup"));
  std::optional<MemoryLimit> smallest;
  // On a hybrid machine both versions are mounted, one has the controller.
  for (const CgroupMount& mount : parse_cgroup_mounts(read_small_file(root + "/proc/self/mountinfo"))) {
    if (!mount.is_unified && !mount.controls("memory")) continue;
    const std::string_view limit_file = mount.is_unified ? "memory.max" : "memory.limit_in_bytes";
    std::string path = path_below(mount, own);
    for (;;) {
      look(root, mount.point + path, limit_file, smallest);
      if (path.empty()) break;
      path.resize(path.rfind('/'));
    }
  }
  return smallest;
}

std::uint64_t memory_needed(std::uint64_t map_bytes) {
  return own_bytes + map_bytes + map_bytes / share_of_maps;
}

std::string too_little_memory(const std::optional<MemoryLimit>& limit, std::uint64_t needed) {
  if (!limit || limit->bytes >= needed) return {};
  return "the cgroup " + limit->cgroup + " may take " + megabytes(limit->bytes) +
         " of memory, and a start takes about " + megabytes(needed) +
         ": the kernel may end nightjar; raise the limit (systemd: MemoryMax=), ask for fewer events (--events), or "
         "make the buffers smaller (--buffer)";
}

}  // namespace nightjar
