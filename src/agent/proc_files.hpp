// SPDX-License-Identifier: Apache-2.0
// What the files of /proc say, as values. No system calls: the texts are given.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nightjar {

/// /proc/PID/stat, as far as it is used.
struct ProcStat {
  std::uint32_t pid = 0, parent = 0, group = 0, session = 0;
  std::uint32_t tty_major = 0, tty_minor = 0;
  std::uint64_t start_ticks = 0;
  bool has_memory = false;  ///< false: a kernel thread, or a process that has ended
};

/// /proc/PID/status, as far as it is used.
struct ProcStatus {
  std::array<std::uint32_t, 3> uids{}, gids{};  ///< real, effective, saved
  std::uint32_t innermost_pid = 0;
  std::uint64_t inheritable = 0, permitted = 0, effective = 0, bounding = 0, ambient = 0;
};

/// Paths of /proc/PID/cgroup by hierarchy; nothing where there is no such line.
struct ProcCgroups {
  std::optional<std::string> unified, memory, pids;
};

/// A line of /proc/PID/mountinfo about a cgroup hierarchy.
struct CgroupMount {
  std::string root;   ///< which directory of the hierarchy is mounted
  std::string point;  ///< where
  bool is_unified = false;
  std::string options;  ///< of version 1: its controllers, "rw,memory"

  /// Whether the hierarchy is version 1's of that controller.
  [[nodiscard]] bool controls(std::string_view controller) const;
};

/// Nothing when the text is none: the process is gone. The name in it may hold anything.
std::optional<ProcStat> parse_proc_stat(std::string_view text);
std::optional<ProcStatus> parse_proc_status(std::string_view text);
ProcCgroups parse_proc_cgroup(std::string_view text);
std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo);

/// The number in "mnt:[4026531832]"; 0 when there is none.
std::uint32_t namespace_number(std::string_view link);

/// The id outside that 0 has in a text of /proc/PID/uid_map, if its first range has it; else no id (~0).
std::uint32_t root_of_uid_map(std::string_view text);

/// "cat\0bin\0usr\0" from "/usr/bin/cat": what join_path() turns round.
std::string path_components(std::string_view path);

}  // namespace nightjar
