/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Process events. */
#pragma once
#include "wire/base.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

struct wire_file {
	__u64 inode;
	__u64 size;
	__s64 mtime_ns; /* since 1970 */
	__s64 ctime_ns;
	__u32 dev; /* the kernel's encoding: major << 20 | minor */
	__u32 mode;
	__u32 uid;
	__u32 gid;
};
WIRE_ASSERT(sizeof(struct wire_file) == 48);

enum wire_exec_flags {
	WIRE_EXEC_MEMFD = 1 << 0,
	WIRE_EXEC_DELETED = 1 << 1,
	WIRE_EXEC_SETUID = 1 << 2,
	WIRE_EXEC_SETGID = 1 << 3,
	WIRE_EXEC_FILE_CAPS = 1 << 4,
	WIRE_EXEC_UPPER_LAYER = 1 << 5,
	/* Not shown: the file that the caller named is not the one that runs (a script or binfmt_misc). */
	WIRE_EXEC_INTERPRETED = 1 << 16,
};

/* An exec, and a process that was there before the sensor. */
struct process_exec {
	struct wire_header hdr;
	struct wire_task task;
	struct wire_file file; /* what runs */
	__u64 cap_effective;
	__u64 cap_permitted;
	__u64 cap_inheritable;
	__u64 cap_bounding;
	__u64 cap_ambient;
	__u64 args_bytes; /* full size of argv in the process, terminators included */
	__u64 env_bytes;
	__u32 session_pid;
	__u32 group_pid;
	__u32 tty_major; /* 0: no controlling terminal */
	__u32 tty_minor;
	__u32 flags; /* enum wire_exec_flags */
	__u32 args_count;
	__u32 old_tid;     /* id of the thread that called exec, when it was not the leader; else 0 */
	__u32 data_before; /* bytes of argv and environment sent before in WIRE_EXEC_DATA records */
	struct wire_slice executable; /* components, leaf first */
	struct wire_slice cwd;        /* components, leaf first */
	struct wire_slice filename;   /* as given to execve */
	struct wire_slice interpreter; /* as written in the last #! line; only when interpreted */
	struct wire_slice data;       /* argv, then the environment: what follows data_before bytes */
};
WIRE_ASSERT(sizeof(struct process_exec) == 32 + 120 + 48 + 7 * 8 + 8 * 4 + 5 * 8);

/* One piece of a large argv and environment; same CPU as the exec record that follows. */
struct exec_data {
	struct wire_header hdr;
	__u32 pid;
	__u32 offset;
	struct wire_slice data;
};
WIRE_ASSERT(sizeof(struct exec_data) == 48);

struct exec_script {
	struct wire_header hdr;
	__u32 tid; /* the thread that calls exec */
	__u32 first; /* 1: the file that the caller named; 0: an interpreter that is itself a script */
	__u64 inode;
	__u32 dev;
	__u32 pad0;
	struct wire_slice path; /* components, leaf first */
};
WIRE_ASSERT(sizeof(struct exec_script) == 64);

struct cgroup_path {
	struct wire_header hdr;
	__u64 id;
	struct wire_slice path; /* components, leaf first */
};
WIRE_ASSERT(sizeof(struct cgroup_path) == 48);

struct exec_failed {
	struct wire_header hdr;
	struct wire_task task;
	__u32 error; /* errno */
	__u32 pad0;
	struct wire_slice filename;
};
WIRE_ASSERT(sizeof(struct exec_failed) == 168);

/* The child. */
struct process_fork {
	struct wire_header hdr;
	struct wire_task task;
	struct wire_namespaces creator_ns; /* of the process that called clone */
	__u64 clone_flags;
	__u32 creator_pid;
	__u32 pad0;
};
WIRE_ASSERT(sizeof(struct process_fork) == 200);

struct process_exit {
	struct wire_header hdr;
	struct wire_task task;
	/* As the kernel accounts them. utime and stime are sampled (ticks); run_ns is exact. */
	__u64 utime_ns;
	__u64 stime_ns;
	__u64 run_ns;
	__u64 max_rss_kb;
	__u64 read_bytes;  /* from storage; ~0: this kernel does not count */
	__u64 write_bytes; /* to storage */
	__u32 status;      /* as wait(2) gives it */
	__u32 pad0;
};
WIRE_ASSERT(sizeof(struct process_exit) == 208);

#pragma GCC diagnostic pop

#ifdef __cplusplus
#include "wire/names.hpp"

namespace nightjar::wire {
inline constexpr NamedBit exec_flag_names[] = {
    {WIRE_EXEC_MEMFD, "memfd"},   {WIRE_EXEC_DELETED, "deleted"},     {WIRE_EXEC_SETUID, "setuid"},
    {WIRE_EXEC_SETGID, "setgid"}, {WIRE_EXEC_FILE_CAPS, "file_caps"}, {WIRE_EXEC_UPPER_LAYER, "upper_layer"},
};
}  // namespace nightjar::wire

// clang-format off
WIRE_SCHEMA(wire_file,
  FIELD(inode, "file.inode", as::keyword.unless(0), "Inode number of the file that runs."),
  FIELD(size, "file.size", as::number, "Size of the file, bytes."),
  FIELD(mtime_ns, "file.mtime", as::epoch_ns, "Last change of the file's content."),
  FIELD(ctime_ns, "file.ctime", as::epoch_ns, "Last change of the file's inode."),
  FIELD(dev, "file.device", as::device, "Device that holds the file, MAJOR:MINOR."),
  FIELD(mode, "file.mode", as::octal, "Permission bits of the file, octal."),
  FIELD(uid, "file.uid", as::keyword, "Owner of the file."),
  FIELD(gid, "file.gid", as::keyword, "Group of the file."));

WIRE_SCHEMA(process_exec,
  INLINED(hdr), INLINED(task), INLINED(file),
  FIELD(cap_effective, "process.thread.capabilities.effective", as::names(capability_names), "Effective capabilities."),
  FIELD(cap_permitted, "process.thread.capabilities.permitted", as::names(capability_names), "Permitted capabilities."),
  FIELD(cap_inheritable, "nightjar.capabilities.inheritable", as::names(capability_names).unless(0), "Inheritable capabilities."),
  HIDDEN(cap_bounding),
  FIELD(cap_ambient, "nightjar.capabilities.ambient", as::names(capability_names).unless(0), "Ambient capabilities."),
  HIDDEN(args_bytes), HIDDEN(env_bytes),
  FIELD(session_pid, "process.session_leader.pid", as::number.unless(0), "Session id: process id of the session's leader."),
  FIELD(group_pid, "process.group_leader.pid", as::number.unless(0), "Process group id."),
  FIELD(tty_major, "process.tty.char_device.major", as::number.unless(0), "Controlling terminal, major device number."),
  HIDDEN(tty_minor),
  FIELD(flags, "nightjar.exec.flags", as::names(exec_flag_names), "What is special about the file: memfd, deleted, setuid, setgid, file_caps, upper_layer (of an overlay)."),
  FIELD(args_count, "process.args_count", as::number, "Number of arguments, before any cut."),
  FIELD(old_tid, "nightjar.exec.old_thread_id", as::number.unless(0), "The thread that called exec, when it was not the leader: it took the leader's id."),
  HIDDEN(data_before), HIDDEN(executable), HIDDEN(cwd), HIDDEN(filename), HIDDEN(interpreter), HIDDEN(data));

WIRE_SCHEMA(exec_failed,
  INLINED(hdr), INLINED(task),
  FIELD(error, "error.code", as::error_name, "Why the exec failed: the errno's name."),
  PADDING(pad0), HIDDEN(filename));

WIRE_SCHEMA(process_fork,
  INLINED(hdr), INLINED(task), HIDDEN(creator_ns),
  FIELD(clone_flags, "nightjar.clone.flags", as::names(clone_flag_names), "Flags of clone(2), whichever call was used."),
  HIDDEN(creator_pid), PADDING(pad0));

WIRE_SCHEMA(process_exit,
  INLINED(hdr), INLINED(task),
  HIDDEN(utime_ns), HIDDEN(stime_ns), HIDDEN(run_ns),
  FIELD(max_rss_kb, "nightjar.exit.max_rss_kb", as::number, "Largest resident set, KiB."),
  FIELD(read_bytes, "nightjar.exit.read_bytes", as::number.unless(~0ULL), "Bytes fetched from storage."),
  FIELD(write_bytes, "nightjar.exit.write_bytes", as::number.unless(~0ULL), "Bytes sent to storage."),
  HIDDEN(status), PADDING(pad0));
// clang-format on
#endif
