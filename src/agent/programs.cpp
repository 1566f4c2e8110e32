// SPDX-License-Identifier: Apache-2.0
#include "agent/programs.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include <unistd.h>

#include <sys/mman.h>

#include "agent/line_info.hpp"
#include "agent/plain_loads.hpp"
#include "agent/programs_file.hpp"

// probes_object.S
extern "C" {
extern const std::byte nightjar_probes_begin[];  // NOLINT(modernize-avoid-c-arrays): a linker symbol
extern const std::byte nightjar_probes_end[];    // NOLINT(modernize-avoid-c-arrays)
}

namespace nightjar {
namespace {

/// With socket cookies where the kernel lets tracing programs ask for them (5.12), and without.
ProgramVersion tcp_version(std::string tier, std::vector<Program> programs, bool cookies) {
  ProgramVersion version(std::move(tier), std::move(programs));
  const bool typed = version.programs.back().name().ends_with("__tp_btf");
  version.require(typed ? Feature::tp_btf : Feature::raw_tracepoint);
  return version.set("socket_cookies", std::uint32_t{cookies});
}

/// One event of a family whose events are independent of each other, and its programs in each tier: hooks, in the order
/// of attaching, as the program names have them. The first one's hook is the event's. Nothing: the tier does not see
/// it.
struct HookedEvent {
  Kind kind;
  std::string_view stem;
  std::vector<std::string_view> btf, kprobe, tracepoint;  ///< "fexit", or "fexit@setns" on a system call's function
  bool odd_arguments = false;  ///< 5.10 lets no typed program at them: kprobes in the tier btf, too, if there are
};

using Hooks = std::vector<std::string_view> HookedEvent::*;

/// System calls that can change credentials: the tracepoint tier compares before and after each.
std::vector<std::string> credential_calls(const std::string& side) {
  std::vector<std::string> points;
  for (const char* call : {"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid",
                           "setgroups", "capset", "prctl", "unshare", "setns"})
    points.push_back("syscalls/sys_" + side + "_" + call);
  return points;
}

Program program_of(std::string_view stem, std::string_view hook) {
  const auto at = hook.find('@');
  const std::string name = std::string(stem) + "__" + std::string(hook.substr(0, at));
  if (at != std::string_view::npos) return Program(name, {std::string(hook.substr(at + 1))}).syscall();
  if (name == "privilege_set_credentials__enter" || name == "privilege_set_credentials__exit")
    return Program(name, credential_calls(std::string(hook))).all_points();
  return Program(name);
}

/// `odd`: the hooks of events with odd arguments, if others.
ProgramVersion version_of(const std::string& tier, const std::vector<HookedEvent>& events, Hooks hooks,
                          Hooks odd = nullptr) {
  ProgramVersion version(tier, {});
  for (const HookedEvent& event : events) {
    for (const std::string_view hook : event.*(event.odd_arguments && odd != nullptr ? odd : hooks))
      version.programs.push_back(program_of(event.stem, hook).optional());
  }
  return version;
}

ProgramVersion legacy_version(std::vector<Program> programs) {
  return ProgramVersion(std::string(legacy_tier), std::move(programs))
      .require(Feature::kprobe)
      .require(Feature::tracepoint)
      .require(Feature::perf_buffer);
}

ProgramVersion legacy_process_version() {
  // Without the first (no CONFIG_SECURITY) an exec lacks what only the bprm has, and says so.
  ProgramVersion version =
      legacy_version({Program("process_exec_bprm__legacy").optional(), Program("process_fork__legacy"),
                      Program("process_exec__legacy"), Program("process_exit__legacy")});
  // In the order of enum legacy_slot (bpf/legacy_path.bpf.h).
  std::uint32_t slot = 0;
  for (const char* step : {"walk", "next", "last", "args"}) {
    version.programs.push_back(
        Program("process_exec_" + std::string(step) + "__legacy").tail_call("legacy_exec_calls", slot++));
  }
  return version;
}

ProgramVersion legacy_rare_version() {
  std::vector<Program> programs;
  for (const char* name : {"namespace_unshare__legacy", "namespace_unshare__legacy_enter", "namespace_setns__legacy",
                           "namespace_setns__legacy_enter", "memory_ptrace__legacy", "memory_ptrace__legacy_enter",
                           "memory_ptrace__legacy_target_more", "memory_ptrace__legacy_link_more"})
    programs.push_back(Program(name).optional());
  return legacy_version(std::move(programs));
}

GroupSpec group_of(std::string_view name, const std::vector<HookedEvent>& events) {
  GroupSpec group{name, {}, {}, false};
  for (const HookedEvent& event : events) group.events.push_back({event.kind, event.stem});
  group.versions = {version_of("btf", events, &HookedEvent::btf, &HookedEvent::kprobe)
                        .require(Feature::fentry)
                        .require(Feature::kprobe),
                    version_of("btf", events, &HookedEvent::btf).require(Feature::fentry),
                    version_of("kprobe", events, &HookedEvent::kprobe).require(Feature::kprobe),
                    version_of("tracepoint", events, &HookedEvent::tracepoint).require(Feature::raw_tracepoint),
                    legacy_rare_version()};
  return group;
}

/// All in one group: what costs time at the start is a group, not a program.
std::vector<HookedEvent> rare_events() {
  return {
      {Kind::unshare, "namespace_unshare", {"fexit", "fentry"}, {"kretprobe", "kprobe"}, {"exit", "enter"}},
      {Kind::setns,
       "namespace_setns",
       {"fexit@setns", "fentry@setns", "fexit32", "fentry32"},
       {"kretprobe@setns", "kprobe@setns", "kretprobe32", "kprobe32"},
       {"exit", "enter"}},
      {Kind::mount, "namespace_mount", {"fexit"}, {"kretprobe", "kprobe"}, {"exit", "enter"}},
      {Kind::umount, "namespace_umount", {"fexit", "fentry"}, {"kretprobe", "kprobe"}, {"exit", "enter"}},
      {Kind::move_mount,
       "namespace_move_mount",
       {"fexit@move_mount", "fexit32", "paths__fentry"},
       {"kretprobe@move_mount", "kprobe@move_mount", "kretprobe32", "kprobe32", "paths__kprobe"},
       {"exit", "enter"}},
      {Kind::pivot_root,
       "namespace_pivot_root",
       {"fentry", "paths__fentry"},
       {"kprobe", "paths__kprobe"},
       {"exit", "enter"}},
      {Kind::chroot, "namespace_chroot", {"fexit"}, {"kretprobe", "kprobe"}, {"exit", "enter"}},
      {Kind::ptrace,
       "memory_ptrace",
       {"fexit", "fexit32", "link__fentry", "connector_fentry_more", "traceme_fexit_more"},
       {"kretprobe", "kprobe", "kretprobe32", "kprobe32", "link__kprobe", "connector_kprobe_more",
        "traceme_kretprobe_more"},
       {"exit", "enter"}},
      {Kind::process_vm_write,
       "memory_process_vm_write",
       {"fexit@process_vm_writev", "fentry@process_vm_writev", "target__fentry"},
       {"kretprobe@process_vm_writev", "kprobe@process_vm_writev", "target__kprobe"},
       {"exit", "enter"},
       true},
      {Kind::proc_mem_write, "memory_proc_mem_write", {"fexit"}, {"kretprobe", "kprobe"}, {}, true},
      {Kind::memfd_create, "memory_memfd_create", {"fexit"}, {"kretprobe", "kprobe"}, {"exit", "enter"}},
      {Kind::mprotect_exec,
       "memory_mprotect_exec",
       {"fexit"},
       {"kretprobe", "kprobe"},
       {"exit", "enter", "exit_more", "enter_more"}},
      {Kind::mmap_exec, "memory_mmap_exec", {"fexit"}, {"kretprobe", "kprobe"}, {"exit", "enter"}},
      {Kind::capability_set, "privilege_capability_set", {"fexit"}, {"kretprobe", "kprobe"}, {"exit", "enter"}},
      // Behind the others that want its system calls: bpf/slots.bpf.h.
      {Kind::set_credentials,
       "privilege_set_credentials",
       {"fentry"},
       {"kprobe"},
       {"exit", "enter", "after_exec_more", "before_exec_more"}},
      {Kind::login_uid_set, "privilege_login_uid_set", {"fexit", "fentry"}, {"kretprobe", "kprobe"}, {}, true},
      {Kind::module_load,
       "kernel_module_load",
       {"tp_btf", "file__fentry_more"},
       {"raw_tp", "file__kprobe_more"},
       {"raw_tp"}},
      {Kind::module_unload, "kernel_module_unload", {"tp_btf"}, {"raw_tp"}, {"raw_tp"}},
      {Kind::bpf_program_load, "kernel_bpf_program_load", {"fentry"}, {"kprobe"}, {"exit", "enter"}},
      {Kind::bpf_access,
       "kernel_bpf_access",
       {"fexit@bpf", "fexit32"},
       {"kretprobe@bpf", "kprobe@bpf", "kretprobe32", "kprobe32"},
       {"exit", "enter"},
       true},
      {Kind::kexec_load,
       "kernel_kexec_load",
       {"fexit@kexec_load", "fexit_file@kexec_file_load"},
       {"kretprobe@kexec_load", "kretprobe_file@kexec_file_load"},
       {"exit", "exit_file"}},
      {Kind::sysctl_write, "kernel_sysctl_write", {"fexit", "fentry"}, {"kretprobe", "kprobe"}, {}},
      {Kind::kill, "signal_kill", {"tp_btf"}, {"raw_tp"}, {"raw_tp"}},
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
           // see everything (docs/decisions/0007).
           ProgramVersion("kprobe", {Program("exec_script__kprobe"), Program("process_fork__kprobe"),
                                     Program("process_exec__kprobe"), Program("process_exit__kprobe"), snapshot})
               .require(Feature::kprobe)
               .require(Feature::preemptible_tracepoints),
           // The script hook stands first: where it is refused, nothing else was loaded in vain. Asking for the
           // features first is cheaper still (132 ms to the last program here, against 300 when just trying).
           // A kprobe, since a function entry program can be preempted by every kernel that preempts at all, and is
           // then skipped for others.
           ProgramVersion("btf", {Program("exec_script__kprobe"), Program("process_fork__tp_btf"),
                                  Program("process_exec__tp_btf"), Program("process_exit__tp_btf"), snapshot})
               .require(Feature::tp_btf)
               .require(Feature::fentry)
               .require(Feature::kprobe),
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
           legacy_process_version(),
       },
       true},
      {"exec_failed",
       {{Kind::exec_failed, "exec_failed"}},
       {ProgramVersion("tracepoint", {Program("exec_failed__enter_execve"), Program("exec_failed__exit_execve"),
                                      Program("exec_failed__enter_execveat"), Program("exec_failed__exit_execveat")})
            .require(Feature::raw_tracepoint)},
       false},
      group_of("rare", rare_events()),
      {"tcp",
       {{Kind::connect, "net_state", {}, "net_state_call"},
        {Kind::accept, "net_accept"},
        {Kind::close, "net_state", "net_accept", "net_state_call"},
        {Kind::listen, "net_state", {}, "net_listen"}},
       {
           tcp_version("btf",
                       {Program("net_received_more__fentry").optional(), Program("net_accept__fentry"),
                        Program("net_state__tp_btf")},
                       true)
               .require(Feature::fentry),
           tcp_version("btf",
                       {Program("net_received_more__fentry").optional(), Program("net_accept__fentry"),
                        Program("net_state__tp_btf")},
                       false)
               .require(Feature::fentry),
           tcp_version("kprobe",
                       {Program("net_received_more__kprobe").optional(), Program("net_accept__kprobe"),
                        Program("net_state__raw_tp")},
                       false)
               .require(Feature::kprobe),
           tcp_version(
               "tracepoint",
               {Program("net_accept__exit_accept"), Program("net_accept__exit_accept4"), Program("net_state__tp_btf")},
               true),
           tcp_version(
               "tracepoint",
               {Program("net_accept__exit_accept"), Program("net_accept__exit_accept4"), Program("net_state__tp_btf")},
               false),
           tcp_version(
               "tracepoint",
               {Program("net_accept__exit_accept"), Program("net_accept__exit_accept4"), Program("net_state__raw_tp")},
               false),
           // The tracepoint of changes of state came with 4.16.
           legacy_version({Program("net_accept__legacy"), Program("net_listen__legacy"), Program("net_state__legacy")}),
           legacy_version({Program("net_accept__legacy"), Program("net_state_call__legacy")}),
       },
       false},
      {"udp",
       {{Kind::udp_send, "udp_send"},
        {Kind::udp_receive, "udp_receive"},
        {Kind::dns_query, "udp_send", {}, "dns_tcp"},
        {Kind::dns_answer, "udp_receive", {}, "dns_tcp"}},
       {
           ProgramVersion("btf", {Program("udp_gone__fentry"), Program("udp_gone6__fentry").optional(),
                                  Program("udp_send__fentry"), Program("udp_send6__fentry").optional(),
                                  Program("udp_receive__fentry"), Program("dns_tcp__sent_fexit_more").optional(),
                                  Program("dns_tcp__received_fexit_more").optional()})
               .require(Feature::fentry),
           ProgramVersion("kprobe", {Program("udp_gone__kprobe"), Program("udp_gone6__kprobe").optional(),
                                     Program("udp_send__kprobe"), Program("udp_send6__kprobe").optional(),
                                     Program("udp_receive__kprobe"), Program("dns_tcp__sent_kprobe_more").optional(),
                                     Program("dns_tcp__receives_kprobe_more").optional(),
                                     Program("dns_tcp__received_kprobe_more").optional()})
               .require(Feature::kprobe),
           ProgramVersion(
               "tracepoint",
               {Program("udp_send__length"), Program("udp_receive__length"), Program("udp_call__enter_sendto"),
                Program("udp_call__enter_sendmsg"), Program("udp_call__enter_sendmmsg"),
                Program("udp_call__enter_recvfrom"), Program("udp_call__enter_recvmsg"),
                Program("udp_call__exit_recvfrom"), Program("udp_call__exit_recvmsg"),
                Program("dns_tcp__sent_length_more").optional(), Program("dns_tcp__received_length_more").optional()})
               .require(Feature::tp_btf)
               .require(Feature::raw_tracepoint),
       },
       false},
      {"unix",
       {{Kind::unix_connect, "unix_connect"}},
       {
           ProgramVersion("btf", {Program("unix_connect__fentry")}).require(Feature::fentry),
           ProgramVersion("kprobe", {Program("unix_connect__kprobe")}).require(Feature::kprobe),
           ProgramVersion("tracepoint", {Program("unix_connect__enter_connect"), Program("unix_connect__exit_connect")})
               .require(Feature::raw_tracepoint),
       },
       false},
      {"bind",
       {{Kind::bind, "net_bind"}},
       {
           ProgramVersion("btf", {Program("net_bind__fexit"), Program("net_bind6__fexit").optional(),
                                  Program("net_bind_mptcp__fexit").optional()})
               .require(Feature::fentry),
           ProgramVersion(
               "kprobe",
               {Program("net_bind__kprobe"), Program("net_bound__kretprobe"), Program("net_bind6__kprobe").optional(),
                Program("net_bound6__kretprobe").optional(), Program("net_bind_mptcp__kprobe").optional(),
                Program("net_bound_mptcp__kretprobe").optional()})
               .require(Feature::kprobe),
           ProgramVersion("tracepoint", {Program("net_bind__enter_bind"), Program("net_bind__exit_bind")})
               .require(Feature::raw_tracepoint),
       },
       false},
      file_group(),
      file_writes_group(),
  };
  return groups;
}

std::string_view stem_of(std::string_view program) {
  return program.substr(0, program.find("__"));
}

bool only_adds(std::string_view program) {
  return program.ends_with("32") || program.ends_with("_more");
}

bool makes(std::string_view program, const EventSourceRow& row) {
  const std::string_view stem = stem_of(program);
  return stem == row.program_stem || (!row.common_stem.empty() && stem == row.common_stem);
}

ProgramVersion only_wanted(const ProgramVersion& version, const GroupSpec& spec, const std::set<Kind>& wanted) {
  ProgramVersion result = version;
  std::erase_if(result.programs, [&](const Program& program) {
    std::string_view stem = stem_of(program.name());
    if (stem.ends_with("_enter")) stem.remove_suffix(6);
    const auto any = [&](auto condition) { return std::any_of(spec.events.begin(), spec.events.end(), condition); };
    const auto has_stem = [stem](const EventSourceRow& row) {
      return row.program_stem == stem || row.common_stem == stem;
    };
    return any(has_stem) && !any([&](const EventSourceRow& row) {
             return wanted.contains(row.kind) && (has_stem(row) || row.also == stem);
           });
  });
  return result;
}

ProgramVersion with_stand_ins(const ProgramVersion& version, bool preemptible) {
  // What they tell happens in interrupts, too.
  const auto acts_in_interrupts = [](std::string_view program) { return stem_of(program) == "net_state"; };
  ProgramVersion result = version;
  result.programs.clear();
  for (const Program& program : version.programs) {
    result.programs.push_back(program);
    const std::string& name = program.name();
    if (!name.ends_with("__tp_btf") && !name.ends_with("__raw_tp")) continue;
    if (preemptible || acts_in_interrupts(name)) result.programs.emplace_back(name + "_2");
    if (preemptible) result.programs.emplace_back(name + "_3");
  }
  return result;
}

bool is_stand_in(std::string_view program) {
  return program.ends_with("_2") || program.ends_with("_3");
}

std::string_view event_of_program(std::string_view program) {
  for (const GroupSpec& group : program_groups()) {
    for (const EventSourceRow& row : group.events) {
      if (row.program_stem == stem_of(program)) return event_info(row.kind).action;
    }
  }
  return stem_of(program);
}

const std::vector<std::string_view>& tier_names() {
  static const std::vector<std::string_view> names = {"btf", "kprobe", "tracepoint", legacy_tier};
  return names;
}

Result<ProgramBlueprint> probes_blueprint(const PlainLoads& plain_loads) {
  const std::span object(nightjar_probes_begin, nightjar_probes_end);
  std::vector<std::byte> prepared = without_line_info(object);
  if (plain_loads.function != 0) read_by_plain_loads(prepared, plain_loads);
  auto blueprint = ProgramBlueprint::from_bytes(prepared, "nightjar.bpf.o");
  // Copied, the five megabytes in this executable's file need not stay in memory: they would be read again from it.
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(object.data()) + page - 1) & ~(page - 1);
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(object.data() + object.size()) & ~(page - 1);
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // NOLINT(performance-no-int-to-ptr)
  return blueprint;
}

std::string_view absence(Kind /*kind*/, std::string_view tier) {
  return tier == legacy_tier ? "the legacy tier has no program for it" : "no tracepoint shows it";
}

namespace {

std::string_view legacy_degradation(Kind kind) {
  switch (kind) {
    case Kind::exec:
      return "no hook shows the scripts of a #! chain: they are looked up after the exec and checked against its argv; "
             "of argv and environment 2.1 MiB are told, of a path about 560 components";
    case Kind::unshare:
    case Kind::setns:
    case Kind::ptrace:
      return "32-bit programs are not seen";
    case Kind::connect:
    case Kind::accept:
      return "a change that an interrupt brings while another program of the sensor runs on that CPU is missed";
    case Kind::close:
      return "a change that an interrupt brings while another program of the sensor runs on that CPU is missed; a "
             "socket that another process got through a unix socket is told of whoever had it before, unless that "
             "process closes it";
    default:
      return {};
  }
}

}  // namespace

std::string_view degradation(Kind kind, std::string_view tier) {
  if (tier == legacy_tier) return legacy_degradation(kind);
  if (kind == Kind::exec && tier == "tracepoint")
    return "no hook shows the scripts of a #! chain: they are looked up after the exec and checked against its argv";
  if (kind == Kind::exec_failed) return "32-bit programs are not seen: system call tracepoints do not show them";
  const std::string_view family = event_info(kind).family;
  if (tier == "tracepoint") {
    if (family == "namespace") return "32-bit programs are not seen; paths are as the caller wrote them";
    if (kind == Kind::ptrace || kind == Kind::process_vm_write)
      return "32-bit programs are not seen; the target is named only to callers in the root pid namespace";
    if (kind == Kind::set_credentials)
      return "system calls and execs are compared before and after: other ways are not seen";
    if (kind == Kind::module_load) return "the file is not known";
    if (family == "memory" || family == "privilege" || kind == Kind::bpf_program_load || kind == Kind::bpf_access ||
        kind == Kind::kexec_load)
      return "32-bit programs are not seen";
  }
  if (kind == Kind::memfd_create) return "files of huge pages are not seen";
  if (family == "file") return file_degradation(kind, tier);
  if (kind == Kind::process_snapshot) return "argv and environment are read from procfs";
  if ((kind == Kind::dns_query || kind == Kind::dns_answer) && tier != "tracepoint")
    return "of io_uring, 32-bit programs and sendmmsg, DNS over TCP is told without what was asked; over Multipath TCP "
           "it is not seen";
  if (tier == "tracepoint") {
    if (kind == Kind::udp_send || kind == Kind::udp_receive)
      return "a flow ends by being idle only; the local address is known when the socket is bound to one, or "
             "connected; of io_uring, recvmmsg, 32-bit programs and calls that do not ask who sent, the remote end is "
             "not seen "
             "unless the socket is connected";
    if (kind == Kind::dns_query || kind == Kind::dns_answer)
      return "over UDP only what goes through sendto, sendmsg, sendmmsg, recvfrom and recvmsg of 64-bit programs is "
             "seen; over TCP, io_uring, 32-bit programs and sendmmsg are told without what was asked, and Multipath "
             "TCP is not seen";
    if (kind == Kind::accept || kind == Kind::bind || kind == Kind::unix_connect)
      return "io_uring and 32-bit programs are not seen: system call tracepoints do not show them";
    if (kind == Kind::close)
      return "a socket that another process got through a unix socket is told of whoever had it before, unless that "
             "process closes it";
  }
  return {};
}

}  // namespace nightjar
