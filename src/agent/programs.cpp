// SPDX-License-Identifier: Apache-2.0
#include "agent/programs.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

// probes_object.S
extern "C" {
extern const std::byte nightjar_probes_begin[];  // NOLINT(modernize-avoid-c-arrays): a linker symbol
extern const std::byte nightjar_probes_end[];    // NOLINT(modernize-avoid-c-arrays)
}

namespace nightjar {

namespace {

/// One event of a family whose events are independent of each other, and its programs in each tier: hooks, in the order
/// of attaching, as the program names have them. The first one's hook is the event's. Nothing: the tier does not see
/// it.
struct HookedEvent {
  Kind kind;
  std::string_view stem;
  std::vector<std::string_view> btf, kprobe, tracepoint;
  std::string system_call = {};  ///< where the programs sit on one: its name
};

ProgramVersion version_of(const std::string& tier, const std::vector<HookedEvent>& events,
                          std::vector<std::string_view> HookedEvent::* hooks) {
  ProgramVersion version(tier, {});
  for (const HookedEvent& event : events) {
    for (const std::string_view hook : event.*hooks) {
      const std::string name = std::string(event.stem) + "__" + std::string(hook);
      const bool on_call = !event.system_call.empty() && (hook.starts_with("f") || hook.starts_with("k"));
      Program program = on_call && !hook.ends_with("32") ? Program(name, {event.system_call}).syscall() : Program(name);
      version.programs.push_back(program.optional());
    }
  }
  return version;
}

GroupSpec group_of(std::string_view name, const std::vector<HookedEvent>& events) {
  GroupSpec group{name, {}, {}, false};
  for (const HookedEvent& event : events) group.events.push_back({event.kind, event.stem});
  group.versions = {version_of("btf", events, &HookedEvent::btf).require(Feature::fentry),
                    version_of("kprobe", events, &HookedEvent::kprobe).require(Feature::kprobe),
                    version_of("tracepoint", events, &HookedEvent::tracepoint).require(Feature::tracepoint)};
  return group;
}

/// All in one group: what costs time at the start is a group, not a program.
std::vector<HookedEvent> rare_events() {
  return {
      {Kind::unshare, "namespace_unshare", {"fexit", "fentry"}, {"kretprobe", "kprobe"}, {"exit", "enter"}},
      {Kind::setns,
       "namespace_setns",
       {"fexit", "fentry", "fexit32", "fentry32"},
       {"kretprobe", "kprobe", "kretprobe32", "kprobe32"},
       {"exit", "enter"},
       "setns"},
      {Kind::mount, "namespace_mount", {"fexit"}, {"kretprobe", "kprobe"}, {"exit", "enter"}},
      {Kind::umount, "namespace_umount", {"fexit", "fentry"}, {"kretprobe", "kprobe"}, {"exit", "enter"}},
      {Kind::move_mount,
       "namespace_move_mount",
       {"fexit", "fexit32", "paths__fentry"},
       {"kretprobe", "kprobe", "kretprobe32", "kprobe32", "paths__kprobe"},
       {"exit", "enter"},
       "move_mount"},
      {Kind::pivot_root,
       "namespace_pivot_root",
       {"fentry", "paths__fentry"},
       {"kprobe", "paths__kprobe"},
       {"exit", "enter"}},
      {Kind::chroot, "namespace_chroot", {"fexit"}, {"kretprobe", "kprobe"}, {"exit", "enter"}},
  };
}

}  // namespace

const std::vector<GroupSpec>& program_groups() {
  static const Program snapshot = Program("process_snapshot__iter").optional();
  static const std::vector<GroupSpec> groups = {
      {"process",
       {{Kind::fork, "process_fork"},
        {Kind::exec, "process_exec"},
        {Kind::exit, "process_exit"},
        {Kind::process_snapshot, "process_snapshot"}},
       {
           // Where a task can be preempted in a tracepoint's program, which is then skipped for others, only kprobes
           // see everything (docs/decisions/0006).
           ProgramVersion("kprobe", {Program("exec_script__kprobe"), Program("process_fork__kprobe"),
                                     Program("process_exec__kprobe"), Program("process_exit__kprobe"), snapshot})
               .require(Feature::kprobe)
               .require(Feature::preemptible_tracepoints),
           // The script hook stands first: where it is refused, nothing else was loaded in vain. Asking for the
           // features first is cheaper still (132 ms to the last program here, against 300 when just trying).
           ProgramVersion("btf", {Program("exec_script__fentry"), Program("process_fork__tp_btf"),
                                  Program("process_exec__tp_btf"), Program("process_exit__tp_btf"), snapshot})
               .require(Feature::tp_btf)
               .require(Feature::fentry),
           ProgramVersion("kprobe", {Program("exec_script__kprobe"), Program("process_fork__raw_tp"),
                                     Program("process_exec__raw_tp"), Program("process_exit__raw_tp"), snapshot})
               .require(Feature::kprobe)
               .require(Feature::raw_tracepoint),
           ProgramVersion("tracepoint", {Program("process_fork__tp_btf"), Program("process_exec__tp_btf"),
                                         Program("process_exit__tp_btf"), snapshot})
               .require(Feature::tp_btf),
           ProgramVersion("tracepoint", {Program("process_fork__raw_tp"), Program("process_exec__raw_tp"),
                                         Program("process_exit__raw_tp"), snapshot})
               .require(Feature::raw_tracepoint),
       },
       true},
      {"exec_failed",
       {{Kind::exec_failed, "exec_failed"}},
       {ProgramVersion("tracepoint", {Program("exec_failed__enter_execve"), Program("exec_failed__exit_execve"),
                                      Program("exec_failed__enter_execveat"), Program("exec_failed__exit_execveat")})
            .require(Feature::tracepoint)},
       false},
      group_of("rare", rare_events()),
  };
  return groups;
}

std::string_view stem_of(std::string_view program) {
  return program.substr(0, program.find("__"));
}

bool only_adds(std::string_view program) {
  return program.ends_with("32") || program.ends_with("_more");
}

ProgramVersion only_wanted(const ProgramVersion& version, const GroupSpec& spec, const std::set<Kind>& wanted) {
  ProgramVersion result = version;
  std::erase_if(result.programs, [&](const Program& program) {
    return std::any_of(spec.events.begin(), spec.events.end(), [&](const EventSourceRow& row) {
      return row.program_stem == stem_of(program.name()) && !wanted.contains(row.kind);
    });
  });
  return result;
}

ProgramVersion with_stand_ins(const ProgramVersion& version) {
  ProgramVersion result = version;
  result.programs.clear();
  for (const Program& program : version.programs) {
    result.programs.push_back(program);
    const std::string& name = program.name();
    if (!name.ends_with("__tp_btf") && !name.ends_with("__raw_tp")) continue;
    for (const char* copy : {"_2", "_3"}) result.programs.emplace_back(name + copy);
  }
  return result;
}

std::string_view event_of_program(std::string_view program) {
  const std::string_view stem = stem_of(program);
  for (const GroupSpec& group : program_groups()) {
    for (const EventSourceRow& row : group.events) {
      if (row.program_stem == stem) return event_info(row.kind).action;
    }
  }
  return stem;
}

const std::vector<std::string_view>& tier_names() {
  static const std::vector<std::string_view> names = {"btf", "kprobe", "tracepoint"};
  return names;
}

Result<ProgramBlueprint> probes_blueprint() {
  return ProgramBlueprint::from_bytes(std::span(nightjar_probes_begin, nightjar_probes_end), "nightjar.bpf.o");
}

std::string_view absence(Kind /*kind*/) {
  return "no tracepoint shows it";
}

std::string_view degradation(Kind kind, std::string_view tier) {
  if (kind == Kind::exec && tier == "tracepoint")
    return "no hook shows the scripts of a #! chain: they are looked up after the exec and checked against its argv";
  if (kind == Kind::exec_failed) return "32-bit programs are not seen: system call tracepoints do not show them";
  if (event_info(kind).family == "namespace" && tier == "tracepoint")
    return "32-bit programs are not seen; paths are as the caller wrote them";
  if (kind == Kind::process_snapshot) return "argv and environment are read from procfs";
  return {};
}

}  // namespace nightjar
