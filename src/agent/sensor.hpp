// SPDX-License-Identifier: Apache-2.0
// The kernel side, loaded and attached.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kernel_types_source.hpp"
#include "agent/losses.hpp"
#include "agent/options.hpp"
#include "agent/path_rules.hpp"
#include "agent/pins.hpp"
#include "agent/proc_snapshot.hpp"
#include "agent/programs.hpp"
#include "agent/scalar_rules.hpp"
#include "agent/shared_array.hpp"
#include "agent/syscall_dispatch.hpp"
#include "nightjar/event_source.hpp"
#include "nightjar/log.hpp"
#include "nightjar/program_group.hpp"
#include "wire/base.h"
#include "wire/legacy.h"
#include "wire/network.h"

namespace nightjar {

/// One event's place in `sensor_started` and `doctor`.
struct Coverage {
  Kind kind;
  std::string state;  ///< "active", "degraded", "absent", "off" (not asked for)
  std::string hook;   ///< empty when absent
  std::string tier;
  std::string reason;  ///< of degraded, absent and off
};

/// The page that the BPF programs and the agent share (map "reader"). Where the kernel maps no arrays (before 5.5) what
/// the programs must know is written through bpf(2); there they only use perf buffers, which wake the agent by
/// themselves.
class ReaderPage {
 public:
  static Result<ReaderPage> map(const Map& reader);
  /// The next record wakes the reader.
  void going_idle();
  void busy();
  /// wire_reader::rules.
  void use_rules(std::uint32_t rules);
  /// Losses from now on count as a new batch.
  void next_epoch();

 private:
  explicit ReaderPage(SharedArray page) : page_(std::move(page)) {}
  SharedArray page_;
};

class Sensor {
 public:
  /// Loads and attaches what the options want, on the best tier that works. Fails with denied (privileges), unsupported
  /// (this kernel cannot deliver something that was asked for by name, or nothing at all), invalid (options).
  /// With `pins`, what is pinned there is taken over if it can be, else replaced.
  static Result<std::unique_ptr<Sensor>> start(const SensorOptions& options, LogSink log, Pins* pins = nullptr);

  /// Where the layouts of kernel structures come from, for people.
  [[nodiscard]] const std::string& types_told() const { return types_.told; }
  [[nodiscard]] const std::vector<Coverage>& coverage() const { return coverage_; }
  /// JSON of nightjar.hook for a kind of record; empty when there is none.
  [[nodiscard]] std::string_view hook(Kind kind) const;
  [[nodiscard]] const std::string& tier() const { return tier_; }
  [[nodiscard]] bool uses_ring_buffer() const { return ring_; }
  /// Scripts are told by a hook, not looked up.
  [[nodiscard]] bool sees_scripts() const { return sees_scripts_; }

  std::vector<EventSource>& sources() { return sources_; }
  ReaderPage& reader() { return *reader_; }
  [[nodiscard]] SharedArray& counters() { return *counters_; }
  /// Null unless the scope is a tree.
  [[nodiscard]] const Map* scope_tree() const { return scope_tree_ ? &*scope_tree_ : nullptr; }
  /// Null unless UDP flows are counted; the sockets: unless this tier sees them go.
  [[nodiscard]] const Map* flows() const { return flows_ ? &*flows_ : nullptr; }
  [[nodiscard]] wire_flow_counts& flow_counts() const { return *flow_counts_->at<wire_flow_counts>(0); }
  /// Empty unless an event is wanted that is limited.
  [[nodiscard]] std::span<wire_limit> limits() const {
    return limits_ ? std::span(limits_->at<wire_limit>(0), limits_->entries()) : std::span<wire_limit>{};
  }
  [[nodiscard]] const Map* udp_sockets() const { return udp_sockets_ ? &*udp_sockets_ : nullptr; }
  /// The rules on paths, in the kernel.
  KernelRules& rules() { return rules_; }
  [[nodiscard]] const KernelRules& rules() const { return rules_; }
  /// Null when there can be no rules (no configuration file).
  [[nodiscard]] ScalarRules* scalar_rules() const { return scalar_rules_.get(); }
  [[nodiscard]] std::uint64_t sequence_base() const { return sequence_base_; }
  [[nodiscard]] std::uint64_t first_attached_ns() const { return first_attached_ns_; }

  /// Snapshot records of all processes in scope, and of the agent itself whatever the scope (wire_header::is_self).
  /// From /proc where this kernel has no task iterator; none where neither tells.
  Result<> snapshot(const Scope& scope, bool only_self, const SnapshotVisit& visit);
  /// There is no task iterator: who runs already, and since when, is what /proc tells.
  [[nodiscard]] bool reads_proc() const { return snapshot_iterator() == nullptr && ProcSnapshot::why_not().empty(); }

  /// To be called every second or so: the machine may have been suspended, which the programs of the legacy tier cannot
  /// see.
  [[nodiscard]] Result<> keep_clock();

  /// Detaches and unloads every program. What the buffers and counters hold stays readable.
  void detach() { groups_.clear(); }
  /// An agent before this one loaded it.
  [[nodiscard]] bool is_adopted() const { return adopted_; }

  struct ProgramLine {
    std::string name, hook;
    ProgramStats stats;
  };
  [[nodiscard]] std::vector<ProgramLine> program_stats() const;
  /// Whether a task can be preempted in a tracepoint's program here.
  [[nodiscard]] bool is_preemptible() { return features_.has(Feature::preemptible_tracepoints); }

 private:
  Sensor() = default;
  Result<> load(const SensorOptions& options, const LogSink& log);
  /// Warns, once, when the cgroup may take less than this and the agent itself.
  void tell_little_memory(std::uint64_t kernel_bytes, const LogSink& log);
  Result<> pin(Pins& pins);
  Result<> adopt(const SensorOptions& options, Pins& pins);
  Result<> forget_cgroups();
  void keep_shared(const LoadedGroup& group);
  /// Whether the programs of the legacy tier are to be used from the beginning.
  [[nodiscard]] Result<> choose_programs(const SensorOptions& options, const LogSink& log);
  Result<> load_programs(const SensorOptions& options, const LogSink& log);
  /// All groups, in the tiers that were chosen.
  Result<> load_groups(const ProgramBlueprint& blueprint, const SensorOptions& options, const LogSink& log);
  /// All groups as one, each in the best version that this kernel takes: opening the object and reading the kernel's
  /// types is paid once. False, and nothing has changed, when that does not work.
  [[nodiscard]] bool load_together(const ProgramBlueprint& blueprint, const SensorOptions& options, const LogSink& log);
  Result<> load_group(const GroupSpec& spec, const ProgramBlueprint& blueprint, const SensorOptions& options,
                      const LogSink& log);
  [[nodiscard]] static bool is_wanted(const GroupSpec& spec, const SensorOptions& options);
  /// Whether the sensor fails with the group.
  [[nodiscard]] static bool cannot_do_without(const GroupSpec& spec, const Error& error, const SensorOptions& options);
  /// Those of the group that may be tried, best first; fails when none is left.
  [[nodiscard]] Result<std::vector<ProgramVersion>> versions_of(const GroupSpec& spec,
                                                                const SensorOptions& options) const;
  /// The version with what stands between it and the kernel: dispatch of system calls, stand-ins.
  [[nodiscard]] ProgramVersion as_loaded(const ProgramVersion& version, const ProgramBlueprint& blueprint);
  /// What outlives this agent must not hold back what the next one's rules keep: those are asked in user space alone.
  [[nodiscard]] static bool asks_rules_in_kernel(const SensorOptions& options);
  GroupOptions group_options(std::string_view name, const ProgramBlueprint& blueprint, const SensorOptions& options,
                             const LogSink& log);
  /// `name`: what it is found by when it is pinned.
  void keep(LoadedGroup group, std::string_view name);
  void cover(const GroupSpec& spec, const LoadedGroup& group, const std::string& tier, const SensorOptions& options);
  void cover_absent(const GroupSpec& spec, const std::string& state, const std::string& reason);
  /// unsupported when an event that was asked for by name is absent.
  [[nodiscard]] Result<> check_named(const SensorOptions& options) const;
  /// The group that has it, attached; null: none.
  [[nodiscard]] const LoadedGroup* snapshot_iterator() const;
  Result<> open_maps(const SensorOptions& options, const LogSink& log);
  Result<> open_rules(const PathRules& rules, const LogSink& log);
  Result<> open_scalar_rules(const SensorOptions& options);

  Features features_;
  SyscallDispatch dispatch_;
  KernelTypesSource types_;
  bool ring_ = true;
  bool adopted_ = false;
  bool legacy_ = false;
  bool told_little_memory_ = false;
  wire_legacy_settings legacy_settings_{};
  bool sees_scripts_ = false;
  std::string tier_;
  std::uint64_t sequence_base_ = 0;
  std::uint64_t first_attached_ns_ = 0;
  std::uint64_t scope_cgroup_ = 0;
  std::uint32_t scope_level_ = 0;
  // Maps before groups: groups are destroyed (and detached) first.
  std::vector<Map> shared_;
  std::optional<SharedArray> counters_;
  std::optional<Map> scope_tree_, flows_, udp_sockets_;
  std::optional<ReaderPage> reader_;
  RuleRoom rule_room_;
  KernelRules rules_;
  std::optional<MappedArray> flow_counts_;
  std::optional<MappedArray> limits_;
  std::unique_ptr<ScalarRules> scalar_rules_;
  std::vector<LoadedGroup> groups_;
  std::vector<std::string> group_names_;
  std::vector<EventSource> sources_;
  std::vector<Coverage> coverage_;
  std::vector<std::pair<Kind, std::string>> hooks_;
  std::optional<Map> settings_;  ///< of the legacy tier
};

}  // namespace nightjar
