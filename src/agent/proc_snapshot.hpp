// SPDX-License-Identifier: Apache-2.0
// The processes that are there when the sensor starts, read from /proc: where the kernel has no task iterator.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/options.hpp"
#include "agent/proc_files.hpp"
#include "nightjar/map.hpp"
#include "nightjar/unique_fd.hpp"
#include "wire/record.hpp"

namespace nightjar {

/// Takes a record of a snapshot (a process, or the path of a cgroup, which comes before its first process). False: no
/// more are wanted.
using SnapshotVisit = std::function<Result<bool>(std::span<std::byte> record)>;

class ProcSnapshot {
 public:
  /// Why /proc does not tell what the kernel side does, as from inside of a pid namespace; empty: it does.
  static std::string why_not();
  /// /proc tells start times in clock ticks: this many nanoseconds each. Those in the records are multiples of it.
  static std::uint64_t start_step_ns();

  /// `tree`: the map of the scope "tree", which the programs keep.
  static Result<ProcSnapshot> of(const Scope& scope, const Map* tree);

  /// The same records as of the iterator (bpf/snapshot.bpf.c), as far as /proc has it; what it has not is absent. With
  /// `only_self` the agent's own alone.
  Result<> read(bool only_self, const SnapshotVisit& visit);

 private:
  struct Cgroup {
    std::uint64_t id = 0;  ///< 0: its directory is not to be found
    bool in_scope = false;
    bool told = false;
  };

  struct Place {
    std::string directory;
    std::size_t mount_size = 0;
  };

  ProcSnapshot() = default;
  Result<bool> read_process(std::uint32_t pid, const SnapshotVisit& visit);
  [[nodiscard]] bool may_be_in_tree(std::uint32_t pid, std::uint64_t start_ns) const;
  /// Start of the process, in ticks; nothing when it is gone.
  std::optional<std::uint64_t> start_of(std::uint32_t pid);
  void fill_parent(int process, std::uint32_t parent, wire_header& header, wire_task& task);
  [[nodiscard]] Place place_of(bool unified, std::string_view controller, const std::string& path) const;
  [[nodiscard]] bool is_below_scope(const std::string& unified_path) const;
  Cgroup& cgroup_of(const std::string& text, std::string& path);

  Scope::What what_ = Scope::What::all;
  const Map* tree_ = nullptr;
  std::uint64_t scope_cgroup_ = 0;
  std::vector<CgroupMount> mounts_;
  bool cgroups_are_absolute_ = true;                 ///< false: paths begin at the agent's cgroup namespace
  std::unordered_map<std::string, Cgroup> cgroups_;  ///< by the text of /proc/PID/cgroup
  std::unordered_map<std::uint32_t, std::uint64_t> starts_;
};

}  // namespace nightjar
