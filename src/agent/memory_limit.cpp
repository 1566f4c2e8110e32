// SPDX-License-Identifier: Apache-2.0
#include "agent/memory_limit.hpp"

#include <charconv>
#include <sstream>
#include <string_view>
#include <vector>

#include "agent/host.hpp"

namespace nightjar {
namespace {

// Measured in a cgroup of version 1, kernel 6.18 (memory.max_usage_in_bytes): 36 MB with 12 MB of maps, 76 MB with
// 45 MB. What is above the maps is the agent's own, and what the kernel takes to load programs: 24 MB, and some more,
// as the kernel ends who takes the last page.
constexpr std::uint64_t own_bytes = 28U << 20;
constexpr std::uint64_t share_of_maps = 6;

struct Hierarchy {
  std::string mount, mount_root, limit_file;
  bool is_unified = false;
};

bool has_word(std::string_view list, std::string_view word) {
  for (std::size_t at = list.find(word); at != std::string_view::npos; at = list.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || list[at - 1] == ',') && (end == list.size() || list[end] == ',')) return true;
  }
  return false;
}

/// Where the memory controller's files are. On a hybrid machine both versions are mounted, one has the controller.
std::vector<Hierarchy> hierarchies(const std::string& root) {
  std::vector<Hierarchy> found;
  std::istringstream mounts(read_small_file(root + "/proc/self/mountinfo"));
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string skip, mount_root, mount, type, options;
    words >> skip >> skip >> skip >> mount_root >> mount;
    while (words >> skip && skip != "-") {
    }
    words >> type >> skip >> options;
    if (type == "cgroup2") found.push_back({mount, mount_root, "memory.max", true});
    if (type == "cgroup" && has_word(options, "memory"))
      found.push_back({mount, mount_root, "memory.limit_in_bytes", false});
  }
  return found;
}

/// The path of /proc/self/cgroup in the hierarchy.
std::string own_path(const std::string& root, const Hierarchy& hierarchy) {
  std::istringstream lines(read_small_file(root + "/proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    if (!(hierarchy.is_unified ? controllers.empty() : has_word(controllers, "memory"))) continue;
    std::string path = line.substr(second + 1);
    // In a container without a cgroup namespace the mount begins at the container's own cgroup.
    if (hierarchy.mount_root != "/" && path.starts_with(hierarchy.mount_root))
      path.erase(0, hierarchy.mount_root.size());
    return path == "/" ? "" : path;
  }
  return {};
}

void look(const std::string& root, const std::string& directory, const Hierarchy& hierarchy,
          std::optional<MemoryLimit>& smallest) {
  const std::string text = read_small_file(root + directory + "/" + hierarchy.limit_file);
  std::uint64_t bytes = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), bytes).ec != std::errc{}) return;  // "max", or no file
  if (!smallest || bytes < smallest->bytes) smallest = {directory, bytes};
}

std::string megabytes(std::uint64_t bytes) {
  return std::to_string((bytes + (1U << 19)) >> 20) + " MB";
}

}  // namespace

std::optional<MemoryLimit> memory_limit(const std::string& root) {
  std::optional<MemoryLimit> smallest;
  for (const Hierarchy& hierarchy : hierarchies(root)) {
    // ".." is above what a cgroup namespace shows.
    std::string path = own_path(root, hierarchy);
    if (path.find("/..") != std::string::npos) path.clear();
    for (;;) {
      look(root, hierarchy.mount + path, hierarchy, smallest);
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
