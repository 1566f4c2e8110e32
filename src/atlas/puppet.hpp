// SPDX-License-Identifier: Apache-2.0
// Processes that exist to be looked at: everything that can be is different in them from what lies beside it in the
// kernel's structures, so that a wrong offset shows.
#pragma once

#include <string>

#include <sys/types.h>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar::atlas {

namespace sentinel {
inline constexpr const char* name = "nj-proof-7";
inline constexpr std::uint32_t file_uid = 3001017, file_gid = 3002029;
inline constexpr std::int64_t file_size = 4243;
inline constexpr std::int64_t mtime_sec = 1100000009;
inline constexpr std::uint32_t mtime_nsec = 987654321;
/// Of the user namespace: two ranges.
inline constexpr std::uint32_t first = 3, lower_first = 700003, count = 1009;
/// Ids inside of it: real, effective, saved, file system.
inline constexpr std::uint32_t uids[] = {5, 7, 11, 13}, gids[] = {17, 19, 23, 29};
inline constexpr int leader_status = 37, dead_status = 41;
inline constexpr unsigned long handler = 0x1234560;
inline constexpr int handled_signal = 34;
inline constexpr const char* working_directory = "/sys/kernel";
inline constexpr const char* exec_argument = "nj-proof-argument";
}  // namespace sentinel

/// Owns the processes and what they have open. Move-only.
class Puppet {
 public:
  /// Fails with denied, unsupported (no user namespaces, no procfs), system.
  static Result<Puppet> start();
  Puppet(Puppet&&) noexcept;
  Puppet& operator=(Puppet&&) = delete;
  ~Puppet();

  /// The thread looked at renames itself so many times.
  Result<> act(std::uint32_t times) const;
  /// A process that will exec once it is let; then it ends.
  struct Exec {
    pid_t pid = -1;
    UniqueFd gate;
  };
  [[nodiscard]] Result<Exec> prepare_exec() const;
  /// Lets it, and waits for its end.
  static void let(Exec exec);

  pid_t parent = -1;         ///< of the process looked at; leads the session
  pid_t process = -1;        ///< its main thread has ended: a zombie beside a living thread
  pid_t thread = -1;         ///< the one that acts
  pid_t dead = -1;           ///< a process that ended, with threads that ended before
  UniqueFd file;             ///< in memory, with everything about it made up
  UniqueFd top, inner;       ///< /sys and /sys/kernel
  UniqueFd dead_folder;      ///< /proc/DEAD
  UniqueFd terminal;         ///< the session's; may be none
  UniqueFd program, script;  ///< for the exec: a script, and its interpreter
  std::string cgroup;        ///< folder made for it, removed at the end; empty: could not be

 private:
  Puppet() = default;
  Result<> make_files();
  Result<> make_dead();
  Result<> make_living();
  void make_cgroup();
  UniqueFd controller_;  ///< the other end of the terminal
  UniqueFd commands_, answers_;
};

}  // namespace nightjar::atlas
