// SPDX-License-Identifier: Apache-2.0
#include "wire/events.hpp"

#include "wire/file.h"
#include "wire/kernel.h"
#include "wire/memory.h"
#include "wire/namespace.h"
#include "wire/network.h"
#include "wire/privilege.h"
#include "wire/process.h"
#include "wire/signal.h"

namespace nightjar {
namespace {

using wire::Field;
using wire::Schema;

constexpr std::string_view process_category = R"(["process"])";
constexpr std::string_view network_category = R"(["network"])";
constexpr std::string_view file_category = R"(["file"])";
constexpr std::string_view host_category = R"(["host"])";

// What the agent says of itself needs no wire struct of its own, but a process all the same: its own.
constexpr std::span<const Field> task_only = std::span(Schema<exec_failed>::fields).first(2);

constexpr std::string_view driver_category = R"(["driver"])";
constexpr std::string_view configuration_category = R"(["configuration"])";
constexpr std::string_view identity_category = R"(["process","iam"])";

constexpr EventInfo events[] = {
    {Kind::exec, "exec", "process", "event", process_category, R"(["start"])", "success", true,
     Schema<process_exec>::fields, "A process runs a new program: an execve or execveat that succeeded."},
    {Kind::exec_failed, "exec_failed", "process", "event", process_category, R"(["start"])", "failure", false,
     Schema<exec_failed>::fields, "An execve or execveat that failed. Only when asked for by name."},
    {Kind::fork, "fork", "process", "event", process_category, R"(["start"])", "success", true,
     Schema<process_fork>::fields,
     "A new process, whichever call made it. process.* is the child. Threads are not reported."},
    {Kind::exit, "exit", "process", "event", process_category, R"(["end"])", "success", true,
     Schema<process_exit>::fields, "A process ended: its last thread is gone. Exactly one for each process."},
    {Kind::process_snapshot, "process_snapshot", "process", "event", process_category, R"(["info"])", "success", true,
     Schema<process_exec>::fields, "A process that ran before the sensor started."},
    {Kind::unshare, "unshare", "namespace", "event", process_category, R"(["change"])", "success", true,
     Schema<namespace_change>::fields, "A thread left namespaces (or other things) that it shared for new ones."},
    {Kind::setns, "setns", "namespace", "event", process_category, R"(["change"])", "success", true,
     Schema<namespace_change>::fields, "A thread entered other namespaces, by whatever descriptor."},
    {Kind::mount, "mount", "namespace", "event", host_category, R"(["change"])", "success", true,
     Schema<mount_done>::fields, "mount(2): a new mount, a bind, a move, or a change of one that is there."},
    {Kind::umount, "umount", "namespace", "event", host_category, R"(["change"])", "success", true,
     Schema<umount_done>::fields, "A mount was taken away."},
    {Kind::move_mount, "move_mount", "namespace", "event", host_category, R"(["change"])", "success", true,
     Schema<move_mount_done>::fields,
     "move_mount(2): a mount made by fsmount(2) or open_tree(2) was put into its place, or one was moved."},
    {Kind::pivot_root, "pivot_root", "namespace", "event", host_category, R"(["change"])", "success", true,
     Schema<root_change>::fields, "The root of a mount namespace was exchanged."},
    {Kind::chroot, "chroot", "namespace", "event", process_category, R"(["change"])", "success", true,
     Schema<root_change>::fields, "A process changed its root directory."},
    {Kind::ptrace, "ptrace", "memory", "event", process_category, R"(["access"])", "success", true,
     Schema<ptrace_done>::fields,
     "A request of ptrace(2) that worked. Not those that only let the target run on or ask why it stopped: a tracer "
     "makes "
     "them at every stop."},
    {Kind::process_vm_write, "process_vm_write", "memory", "event", process_category, R"(["change"])", "success", true,
     Schema<memory_write>::fields, "process_vm_writev(2) wrote into a process."},
    {Kind::proc_mem_write, "proc_mem_write", "memory", "event", process_category, R"(["change"])", "success", true,
     Schema<memory_write>::fields, "A write to /proc/PID/mem."},
    {Kind::memfd_create, "memfd_create", "memory", "event", process_category, R"(["change"])", "success", true,
     Schema<memfd_done>::fields, "A file that exists in memory only."},
    {Kind::mprotect_exec, "mprotect_exec", "memory", "event", process_category, R"(["change"])", "success", true,
     Schema<executable_memory>::fields, "Memory that is there was made executable."},
    {Kind::mmap_exec, "mmap_exec", "memory", "event", process_category, R"(["change"])", "success", true,
     Schema<executable_memory>::fields, "New memory that is executable and of no file, or executable and writable."},
    {Kind::set_credentials, "set_credentials", "privilege", "event", identity_category, R"(["change"])", "success",
     true, Schema<credentials_change>::fields,
     "A thread's user ids, group ids or capabilities changed, by an exec, too. process.* is what holds after."},
    {Kind::capability_set, "capability_set", "privilege", "event", identity_category, R"(["change"])", "success", true,
     Schema<credentials_change>::fields, "capset(2): a thread chose its own capabilities."},
    {Kind::login_uid_set, "login_uid_set", "privilege", "event", identity_category, R"(["change"])", "success", true,
     Schema<login_uid_change>::fields, "The audit login uid was set."},
    {Kind::module_load, "module_load", "kernel", "event", driver_category, R"(["start"])", "success", true,
     Schema<module_change>::fields,
     "A kernel module was loaded; its own start may still fail, module_unload follows then."},
    {Kind::module_unload, "module_unload", "kernel", "event", driver_category, R"(["end"])", "success", true,
     Schema<module_change>::fields, "A kernel module was taken out."},
    {Kind::bpf_program_load, "bpf_program_load", "kernel", "event", driver_category, R"(["start"])", "success", true,
     Schema<bpf_program_loaded>::fields, "A BPF program was loaded."},
    {Kind::bpf_access, "bpf_access", "kernel", "event", configuration_category, R"(["access"])", "success", true,
     Schema<bpf_accessed>::fields,
     "A process got hold of a BPF program, map or link that exists already, by its id or its pin, or attached, "
     "replaced "
     "or took away a program with a command of bpf(2). Whoever would blind a sensor begins so."},
    {Kind::kexec_load, "kexec_load", "kernel", "event", configuration_category, R"(["change"])", "success", true,
     Schema<kexec_done>::fields, "A kernel to boot into was loaded, or dropped."},
    {Kind::sysctl_write, "sysctl_write", "kernel", "event", configuration_category, R"(["change"])", "success", true,
     Schema<sysctl_written>::fields, "A kernel setting was written."},
    {Kind::kill, "kill", "signal", "event", process_category, R"(["end"])", "success", true,
     Schema<signal_sent>::fields,
     "A process sent a signal that ends or stops its target; with a handler in place, one that asks for that."},
    {Kind::connect, "connect", "network", "event", network_category, R"(["connection","start"])", "", true,
     Schema<net_connection>::fields,
     "An attempt to open a TCP connection, once its outcome is known: established, refused, timed out, given up."},
    {Kind::accept, "accept", "network", "event", network_category, R"(["connection","start"])", "success", true,
     Schema<net_connection>::fields, "A process took a TCP connection from a listening socket."},
    {Kind::close, "close", "network", "event", network_category, R"(["connection","end"])", "success", true,
     Schema<net_connection>::fields,
     "A TCP connection that was told, or that is closed now, came to its end: with bytes and segments each way."},
    {Kind::listen, "listen", "network", "event", network_category, R"(["info"])", "success", true,
     Schema<net_endpoint>::fields, "A TCP socket began to listen."},
    {Kind::bind, "bind", "network", "event", network_category, R"(["info"])", "success", true,
     Schema<net_endpoint>::fields, "An internet socket was given a local address, whatever its protocol."},
    {Kind::udp_send, "udp_send", "network", "event", network_category, "", "success", true,
     Schema<net_connection>::fields,
     "UDP: the first datagram that a process sends to an address and port, and, of a flow that began so, the summary: "
     "when it ends (socket closed, or idle for 30 s), and every 60 s while it goes on."},
    {Kind::udp_receive, "udp_receive", "network", "event", network_category, "", "success", true,
     Schema<net_connection>::fields,
     "UDP: the first datagram that a process receives from an address and port, and, of a flow that began so, the "
     "summary."},
    {Kind::dns_query, "dns_query", "network", "event", network_category, R"(["protocol","info"])", "success", true,
     Schema<net_payload>::fields, "A process asks a name server (port 53, UDP or TCP)."},
    {Kind::dns_answer, "dns_answer", "network", "event", network_category, R"(["protocol","info"])", "success", true,
     Schema<net_payload>::fields, "The answer of a name server reached the process that asked (port 53, UDP or TCP)."},
    {Kind::unix_connect, "unix_connect", "network", "event", network_category, R"(["connection","start"])", "success",
     true, Schema<net_unix>::fields, "A process connects to a unix socket that somebody listens on."},
    {Kind::create, "create", "file", "event", file_category, R"(["creation"])", "success", true,
     Schema<file_event>::fields, "A new regular file: open with O_CREAT (or O_TMPFILE), creat, mknod."},
    {Kind::open_write, "open_write", "file", "event", file_category, R"(["access"])", "success", true,
     Schema<file_event>::fields, "A regular file or block device that was there is opened for writing."},
    {Kind::open_read, "open_read", "file", "event", file_category, R"(["access"])", "success", false,
     Schema<file_event>::fields,
     "A file is opened for reading only. Only when asked for by name, or of paths that a rule names."},
    {Kind::modify, "modify", "file", "event", file_category, R"(["change"])", "success", true,
     Schema<file_event>::fields, "Bytes were written to a file: once for each open file, at its last close."},
    {Kind::rename, "rename", "file", "event", file_category, R"(["change"])", "success", true,
     Schema<file_event>::fields, "A file or directory got a new name, or two changed places."},
    {Kind::remove, "delete", "file", "event", file_category, R"(["deletion"])", "success", true,
     Schema<file_event>::fields, "A name of a file is removed."},
    {Kind::link, "link", "file", "event", file_category, R"(["creation"])", "success", true, Schema<file_event>::fields,
     "A file gets one more name (hard link)."},
    {Kind::symlink, "symlink", "file", "event", file_category, R"(["creation"])", "success", true,
     Schema<file_event>::fields, "A new symbolic link."},
    {Kind::chmod, "chmod", "file", "event", file_category, R"(["change"])", "success", true, Schema<file_event>::fields,
     "Permission bits are set."},
    {Kind::chown, "chown", "file", "event", file_category, R"(["change"])", "success", true, Schema<file_event>::fields,
     "Owner or group is set."},
    {Kind::truncate, "truncate", "file", "event", file_category, R"(["change"])", "success", true,
     Schema<file_event>::fields, "The size is set: truncate, ftruncate, or open of an existing file with O_TRUNC."},
    {Kind::mkdir, "mkdir", "file", "event", file_category, R"(["creation"])", "success", true,
     Schema<file_event>::fields, "A new directory."},
    {Kind::rmdir, "rmdir", "file", "event", file_category, R"(["deletion"])", "success", true,
     Schema<file_event>::fields, "A directory is removed."},
    {Kind::mknod, "mknod", "file", "event", file_category, R"(["creation"])", "success", true,
     Schema<file_event>::fields, "A new device, FIFO or socket."},
    {Kind::xattr_set, "xattr_set", "file", "event", file_category, R"(["change"])", "success", true,
     Schema<file_event>::fields, "An extended attribute is set."},
    {Kind::utimes, "utimes", "file", "event", file_category, R"(["change"])", "success", true,
     Schema<file_event>::fields, "Time stamps are set."},
    {Kind::sensor_started, "sensor_started", "sensor", "event", host_category, R"(["start"])", "success", true,
     task_only, "The first event of every stream: what this sensor can see here, and through which hooks."},
    {Kind::sensor_stopped, "sensor_stopped", "sensor", "event", host_category, R"(["end"])", "success", true, task_only,
     "The last event of every stream, with the totals."},
    {Kind::sensor_stats, "sensor_stats", "sensor", "metric", host_category, R"(["info"])", "success", true, task_only,
     "What the sensor did and cost so far."},
    {Kind::events_lost, "events_lost", "sensor", "event", host_category, R"(["error"])", "failure", true, task_only,
     "Events that happened and could not be delivered."},
    {Kind::events_suppressed, "events_suppressed", "sensor", "event", host_category, R"(["info"])", "success", true,
     task_only, "Events that a rule of the configuration held back, since the last such event."},
};

constexpr std::string_view sensor_only = "sensor_started,sensor_stopped,sensor_stats,events_lost,events_suppressed";

constexpr std::string_view dns_only = "dns_query,dns_answer";

constexpr std::string_view file_events =
    "create,open_write,open_read,modify,rename,delete,link,symlink,chmod,chown,truncate,mkdir,rmdir,mknod,xattr_set,"
    "utimes";

constexpr FactInfo facts[] = {
    {Fact::timestamp, "@timestamp", "date", "*",
     "When it happened: the kernel's boot clock plus the offset measured at the start."},
    {Fact::event_sequence, "event.sequence", "long", "*", "Goes up by one with every event of the stream."},
    {Fact::event_id, "event.id", "keyword", "*",
     "Unique for ever: boot id, CPU, kind of record and its number on that CPU."},
    {Fact::entity_id, "process.entity_id", "keyword", "*",
     "The process, the same in all its events: of boot id, pid and start time."},
    {Fact::start, "process.start", "date", "*", "When the process started."},
    {Fact::executable, "process.executable", "keyword", "*",
     "The file that runs: its path in the mount namespace of the process."},
    {Fact::args, "process.args", "keyword[]", "*", "argv. In exec, whole; in other events at most 4 KiB of it."},
    {Fact::command_line, "process.command_line", "wildcard", "*", "argv, joined by blanks."},
    {Fact::user_id, "user.id", "keyword", "*", "Effective user id of the acting process."},
    {Fact::user_name, "user.name", "keyword", "*", "Its name in /etc/passwd."},
    {Fact::process_user_name, "process.user.name", "keyword", "*", "Name of the effective user, in /etc/passwd."},
    {Fact::process_group_name, "process.group.name", "keyword", "*", "Name of the effective group, in /etc/group."},
    {Fact::parent_entity_id, "process.parent.entity_id", "keyword", "*", "The parent's entity id."},
    {Fact::parent_executable, "process.parent.executable", "keyword", "*", "The file that the parent runs."},
    {Fact::parent_name, "process.parent.name", "keyword", "*", "The kernel's name of the parent (comm)."},
    {Fact::session_entity_id, "process.session_leader.entity_id", "keyword", "exec,process_snapshot",
     "Entity id of the session's leader, while it lives."},
    {Fact::group_entity_id, "process.group_leader.entity_id", "keyword", "exec,process_snapshot",
     "Entity id of the process group's leader, while it lives."},
    {Fact::working_directory, "process.working_directory", "keyword", "exec,process_snapshot", "Current directory."},
    {Fact::env_vars, "process.env_vars", "keyword[]", "exec,process_snapshot",
     "The environment variables that --env chooses, NAME=value."},
    {Fact::previous_executable, "process.previous.executable", "keyword", "exec",
     "What the process ran before this exec."},
    {Fact::interactive, "process.interactive", "boolean", "exec,process_snapshot",
     "Whether the process has a controlling terminal."},
    {Fact::tty_minor, "process.tty.char_device.minor", "long", "exec,process_snapshot",
     "Controlling terminal, minor device number."},
    {Fact::exec_filename, "nightjar.exec.filename", "keyword", "exec,exec_failed",
     "The file as the caller named it; /dev/fd/N for fexecve."},
    {Fact::exec_interpreter, "nightjar.exec.interpreter", "keyword", "exec",
     "The interpreter of a script, as its #! line (or binfmt_misc) names it."},
    {Fact::exec_scripts, "nightjar.exec.scripts", "object[]", "exec",
     "Each script of a #! chain, outermost first: path, inode, device."},
    {Fact::ancestors, "nightjar.ancestors", "object[]", "exec,process_snapshot",
     "The parent, its parent, and so on, nearest first, at most 8 and as far as they are known, each as of its latest "
     "event: entity_id, pid, executable."},
    {Fact::exec_sha256, "process.hash.sha256", "keyword", "exec", "SHA-256 of the file that runs; with --hash."},
    {Fact::package_name, "package.name", "keyword", "exec",
     "The package that owns the file that runs, with --package; absent: none does."},
    {Fact::package_version, "package.version", "keyword", "exec", "Its version; of rpm [EPOCH:]VERSION-RELEASE."},
    {Fact::package_architecture, "package.architecture", "keyword", "exec",
     "Its architecture, as its package manager names it."},
    {Fact::package_type, "package.type", "keyword", "exec", "deb or rpm."},
    {Fact::error_message, "error.message", "match_only_text", "exec_failed", "The error in words."},
    {Fact::errno_number, "nightjar.exec.errno", "long", "exec_failed", "The error's number."},
    {Fact::creator_pid, "nightjar.clone.creator_pid", "long", "fork",
     "The process that called clone, when it is not the parent (CLONE_PARENT)."},
    {Fact::ns_before, "nightjar.ns_before", "object", "fork,unshare,setns",
     "Namespaces before the change; of a fork into new ones, those of the creator."},
    {Fact::outcome, "event.outcome", "keyword", "connect", "success or failure."},
    {Fact::event_type, "event.type", "keyword[]", "udp_send,udp_receive",
     "connection, and start (the first datagram), info (goes on) or end."},
    {Fact::event_start, "event.start", "date", "connect,close,udp_send,udp_receive",
     "When the attempt or the flow began; of close, when the connection was begun or accepted."},
    {Fact::net_outcome, "nightjar.net.outcome", "keyword", "connect,close",
     "connect: established, refused, timed_out, unreachable, reset, aborted (given up) or failed; close: closed, "
     "aborted (by this side), reset, timed_out or failed."},
    {Fact::community_id, "network.community_id", "keyword",
     "connect,accept,close,udp_send,udp_receive,dns_query,dns_answer",
     "Community ID, version 1: the same at both ends of a flow and in other tools."},
    {Fact::dns_type, "dns.type", "keyword", dns_only, "query or answer."},
    {Fact::dns_id, "dns.id", "keyword", dns_only, "The message's id."},
    {Fact::dns_op_code, "dns.op_code", "keyword", dns_only, "QUERY, NOTIFY, UPDATE, ..."},
    {Fact::dns_response_code, "dns.response_code", "keyword", "dns_answer", "NOERROR, NXDOMAIN, SERVFAIL, ..."},
    {Fact::dns_header_flags, "dns.header_flags", "keyword[]", dns_only, "AA, TC, RD, RA, AD, CD."},
    {Fact::dns_question_name, "dns.question.name", "keyword", dns_only, "The name that is asked for."},
    {Fact::dns_question_type, "dns.question.type", "keyword", dns_only, "A, AAAA, MX, ..."},
    {Fact::dns_question_class, "dns.question.class", "keyword", dns_only, "IN, CH, ..."},
    {Fact::dns_answers, "dns.answers", "object[]", "dns_answer", "At most 64 records: name, type, class, ttl, data."},
    {Fact::dns_resolved_ip, "dns.resolved_ip", "ip[]", "dns_answer", "The addresses among the answers."},
    {Fact::unix_address, "destination.address", "keyword", "unix_connect",
     "The listening socket: its path, or @ and its name in the abstract namespace."},
    {Fact::unix_peer_executable, "nightjar.net.peer.executable", "keyword", "unix_connect",
     "The file that the listening process runs."},
    {Fact::end, "process.end", "date", "exit", "When the process ended."},
    {Fact::duration, "event.duration", "long", "exit,connect,close,udp_send,udp_receive",
     "How long the process existed, the attempt took, the connection or the flow lasted, nanoseconds."},
    {Fact::exit_code, "process.exit_code", "long", "exit", "Exit code, when no signal ended the process."},
    {Fact::exit_signal, "nightjar.exit.signal", "long", "exit", "The signal that ended the process."},
    {Fact::exit_core_dumped, "nightjar.exit.core_dumped", "boolean", "exit",
     "Whether a core was dumped; with a signal only."},
    {Fact::exit_user_ns, "nightjar.exit.user_ns", "long", "exit",
     "CPU time in user mode of all threads, nanoseconds, as getrusage gives it."},
    {Fact::exit_system_ns, "nightjar.exit.system_ns", "long", "exit",
     "CPU time in the kernel of all threads, nanoseconds."},
    {Fact::target_entity_id, "nightjar.target.entity_id", "keyword", "ptrace,process_vm_write,proc_mem_write,kill",
     "Entity id of the process acted upon."},
    {Fact::target_executable, "nightjar.target.executable", "keyword", "ptrace,process_vm_write,proc_mem_write,kill",
     "The file that the process acted upon runs."},
    {Fact::memory_addresses, "nightjar.memory.addresses", "long[]",
     "ptrace,process_vm_write,proc_mem_write,mprotect_exec,mmap_exec", "Where, in the memory of the target."},
    {Fact::memory_lengths, "nightjar.memory.lengths", "long[]",
     "process_vm_write,proc_mem_write,mprotect_exec,mmap_exec", "How many bytes at each address."},
    {Fact::credentials_cause, "nightjar.credentials.cause", "keyword", "set_credentials,capability_set",
     "The system call that changed them."},
    {Fact::kernel_file, "file.path", "keyword", "module_load,kexec_load", "The file that was loaded."},
    {Fact::sysctl_name, "nightjar.sysctl.name", "keyword", "sysctl_write",
     "The setting, as sysctl(8) names it, with slashes."},
    {Fact::sysctl_value, "nightjar.sysctl.value", "keyword", "sysctl_write", "What was written, at most 255 bytes."},
    {Fact::mount_target, "nightjar.mount.target", "keyword", "mount,umount,move_mount,pivot_root,chroot",
     "Where the mount is, or what became the root: the path in the mount namespace, as it was before the call."},
    {Fact::mount_put_old, "nightjar.mount.put_old", "keyword", "pivot_root", "Where the old root was put."},
    {Fact::mount_source, "nightjar.mount.source", "keyword", "mount,move_mount",
     "What was mounted: a path for binds and moves, else a device or any word."},
    {Fact::mount_fstype, "nightjar.mount.fstype", "keyword", "mount,move_mount", "Type of the file system."},
    {Fact::file_path, "file.path", "keyword", file_events,
     "The file's path as the mount namespace of the process sees it; of a rename, the new one."},
    {Fact::file_name, "file.name", "keyword", file_events, "The last component of the path."},
    {Fact::file_old_path, "nightjar.file.old_path", "keyword", "rename,link",
     "The path before the rename; of a link, the other name of the file."},
    {Fact::file_target, "file.target_path", "keyword", "symlink", "The text of the symbolic link."},
    {Fact::file_exchange, "nightjar.file.exchange", "boolean", "rename", "The two names changed places."},
    {Fact::file_deleted, "nightjar.file.deleted", "boolean", file_events,
     "True: the file has no name (any more); the path is its last one, or that of its directory and a number."},
    {Fact::file_unreachable, "nightjar.file.unreachable", "boolean", file_events,
     "True: the path leads through no mount of the process's mount namespace."},
    {Fact::file_type, "file.type", "keyword", file_events,
     "file, dir, symlink, block_device, character_device, fifo or socket."},
    {Fact::cgroup_path, "nightjar.cgroup.path", "keyword", "*", "The cgroup, from the root of its hierarchy."},
    {Fact::container_id, "container.id", "keyword", "*", "Container that the cgroup's path names."},
    {Fact::container_runtime, "container.runtime", "keyword", "*",
     "docker, containerd, cri-o, podman, kubepods, lxc or systemd-nspawn."},
    {Fact::container_image, "container.image.name", "keyword", "*", "Its image, where the runtime's files tell."},
    {Fact::container_name, "container.name", "keyword", "*", "Its name, where the runtime's files tell."},
    {Fact::orchestrator, "orchestrator.type", "keyword", "*", "kubernetes, for containers of a pod."},
    {Fact::pod_kind, "orchestrator.resource.type", "keyword", "*", "pod, likewise."},
    {Fact::pod_uid, "orchestrator.resource.id", "keyword", "*", "The pod's uid, from the cgroup's path."},
    {Fact::version, "nightjar.version", "keyword", sensor_only, "Version of the sensor."},
    {Fact::coverage, "nightjar.coverage", "object", "sensor_started",
     "By event: state (active, degraded, absent, off), hook, tier, reason."},
    {Fact::scope, "nightjar.scope", "keyword", "sensor_started", "Whom the sensor looks at."},
    {Fact::transport, "nightjar.transport", "keyword", "sensor_started", "ringbuf or perf."},
    {Fact::buffers, "nightjar.buffers", "object", "sensor_started", "Bytes of each buffer between kernel and sensor."},
    {Fact::lost_count, "nightjar.lost.count", "long", "events_lost", "How many."},
    {Fact::lost_class, "nightjar.lost.class", "keyword", "events_lost", "Which event."},
    {Fact::lost_cpu, "nightjar.lost.cpu", "long", "events_lost", "On which CPU."},
    {Fact::lost_reason, "nightjar.lost.reason", "keyword", "events_lost",
     "buffer_full, scope_full, no_scratch, connections_full, flows_full or missed (the kernel skipped the program); "
     "with --pin: replaced (buffers of before could not be taken over), agent_killed (UDP flows that it had taken over "
     "and not told); of an output: queue_full, spool_full, "
     "spool_failed, spool_damaged, write_failed, too_large, refused, client_slow, output_failed."},
    {Fact::lost_output, "nightjar.lost.output", "keyword", "events_lost",
     "The output that lost them; absent when no output got them."},
    {Fact::lost_first, "nightjar.lost.first", "date", "events_lost", "When the first of them happened."},
    {Fact::lost_last, "nightjar.lost.last", "date", "events_lost", "When the last of them happened."},
    {Fact::suppressed_count, "nightjar.suppressed.count", "long", "events_suppressed", "How many."},
    {Fact::suppressed_key, "nightjar.suppressed.key", "keyword", "events_suppressed,udp_send,udp_receive",
     "The rule that held them back; default: none let them through; rate_limit:EVENT:PID: the process caused too "
     "many."},
    {Fact::rule_id, "nightjar.rule.id", "keyword", "*", "The rule that let the event through."},
    {Fact::rule_tags, "nightjar.rule.tags", "keyword[]", "*", "Tags of that rule."},
    {Fact::stats, "nightjar.stats", "object", "sensor_stats,sensor_stopped",
     "Events happened, sent and lost by class, CPU time, memory, programs."},
    {Fact::hook, "nightjar.hook", "keyword", "*", "What produced the event."},
    {Fact::incomplete, "nightjar.incomplete", "keyword[]", "*", "Fields that could not be read."},
    {Fact::truncated, "nightjar.truncated", "object", "*", "Fields that were cut, with their full sizes in bytes."},
    {Fact::raw, "nightjar.raw", "object", "*", "Exact bytes, base64, of fields that are not valid UTF-8."},
};
static_assert(std::size(facts) == fact_count);

constexpr MissingBit missing[] = {
    {WIRE_MISSING_EXECUTABLE, "process.executable", false},
    {WIRE_MISSING_CWD, "process.working_directory", false},
    {WIRE_MISSING_ARGS, "process.args", false},
    {WIRE_MISSING_ARGS, "process.command_line", false},
    {WIRE_MISSING_ENV, "process.env_vars", false},
    {WIRE_MISSING_FILENAME, "nightjar.exec.filename", false},
    {WIRE_MISSING_SCRIPTS, "nightjar.exec.scripts", false},
    {WIRE_MISSING_CGROUP, "nightjar.cgroup.path", false},
    {WIRE_MISSING_INTERPRETER, "nightjar.exec.interpreter", false},
    {WIRE_MISSING_HASH, "process.hash.sha256", false},
    {WIRE_MISSING_PACKAGE, "package.name", false},
    {WIRE_UNKNOWN_PROCESS, "process.executable", false},
    {WIRE_UNKNOWN_PROCESS, "process.args", false},
    {WIRE_UNKNOWN_PROCESS, "process.command_line", false},
    {WIRE_UNKNOWN_PARENT, "process.parent.executable", false},
    {WIRE_UNKNOWN_PARENT, "process.parent.name", false},
    {WIRE_MISSING_DNS, "dns.question.name", false},
    {missing_source_ip, "source.ip", false},
    {missing_source_port, "source.port", false},
    {missing_destination_ip, "destination.ip", false},
    {missing_destination_port, "destination.port", false},
    {WIRE_MISSING_PATH, "file.path", false},
    {WIRE_MISSING_OLD_PATH, "nightjar.file.old_path", false},
    {WIRE_MISSING_LINK_TEXT, "file.target_path", false},
    {WIRE_MISSING_INODE, "file.inode", false},
    {WIRE_MISSING_INODE, "file.device", false},
    {WIRE_MISSING_INODE, "file.mode", false},
    {WIRE_MISSING_INODE, "file.uid", false},
    {WIRE_MISSING_INODE, "file.gid", false},
    {WIRE_MISSING_INODE, "file.size", false},
    {WIRE_MISSING_OLD_MODE, "nightjar.file.old_mode", false},
    {WIRE_MISSING_OLD_OWNER, "nightjar.file.old_uid", false},
    {WIRE_MISSING_OLD_OWNER, "nightjar.file.old_gid", false},
    {WIRE_MISSING_OVERWRITTEN, "nightjar.file.overwritten_inode", false},
    {WIRE_MISSING_SIZE, "file.size", false},
    {WIRE_CUT_PATH, "file.path", true},
    {WIRE_CUT_OLD_PATH, "nightjar.file.old_path", true},
    {WIRE_CUT_EXECUTABLE, "process.executable", true},
    {WIRE_CUT_CWD, "process.working_directory", true},
    {WIRE_MISSING_TARGET, "nightjar.target.entity_id", false},
    {WIRE_MISSING_MEMORY_RANGES, "nightjar.memory.addresses", false},
    {WIRE_MISSING_SYSCTL, "nightjar.sysctl.name", false},
    {WIRE_MISSING_MOUNT_PATHS, "nightjar.mount.target", false},
    {WIRE_CUT_MOUNT_TARGET, "nightjar.mount.target", true},
};

}  // namespace

namespace {

/// Of each number that a row's key can have, the first row; of what has none: row 0.
template <class Row, std::size_t count, class Key>
constexpr std::array<std::uint8_t, 256> first_rows(const Row (&table)[count], Key Row::* key) {
  static_assert(count <= 256 && sizeof(Key) == 1);
  std::array<std::uint8_t, 256> rows{};
  for (std::size_t row = count; row-- > 0;)
    rows[static_cast<std::uint8_t>(table[row].*key)] = static_cast<std::uint8_t>(row);
  return rows;
}

}  // namespace

std::span<const EventInfo> all_events() {
  return events;
}

const EventInfo& event_info(Kind kind) {
  static constexpr auto rows = first_rows(events, &EventInfo::kind);
  return events[rows[static_cast<std::uint8_t>(kind)]];
}

const EventInfo* find_event(std::string_view action) {
  for (const EventInfo& event : events) {
    if (event.action == action) return &event;
  }
  return nullptr;
}

std::string_view wire_kind_name(unsigned wire_kind) {
  switch (wire_kind) {
    case WIRE_EXEC_DATA:
      return "exec_data";
    case WIRE_EXEC_SCRIPT:
      return "exec_script";
    case WIRE_CGROUP:
      return "cgroup";
    case WIRE_PATH_PART:
      return "path_part";
    case WIRE_DNS_PART:
      return "dns_part";
    case WIRE_SCOPE_FULL:
      return "process_tree";
    case WIRE_CONNECTIONS_FULL:
      return "connection";
    case WIRE_FLOWS_FULL:
      return "udp_flow";
    default:
      return event_info(static_cast<Kind>(wire_kind)).action;
  }
}

std::span<const FactInfo> all_facts() {
  return facts;
}

const FactInfo& fact_info(Fact fact) {
  static constexpr auto rows = first_rows(facts, &FactInfo::fact);
  return facts[rows[static_cast<std::uint8_t>(fact)]];
}

bool fact_applies(const FactInfo& fact, const EventInfo& event) {
  if (fact.events == "*") return true;
  for (std::string_view rest = fact.events; !rest.empty();) {
    const auto comma = rest.find(',');
    if (rest.substr(0, comma) == event.action) return true;
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return false;
}

std::span<const MissingBit> missing_bits() {
  return missing;
}

}  // namespace nightjar
