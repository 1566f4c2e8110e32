/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What crosses from the BPF programs (C) to user space (C++20). Private to one build: the BPF object is inside the agent, so the
 * two never differ in version. Only the JSON is a contract.
 *
 * No enum, bool, long or pointer in a wire struct, and no implicit padding (-Wpadded): what the compiler would leave
 * between members would be old kernel memory. */
#pragma once
#include <linux/types.h>

#ifdef __cplusplus
#define WIRE_ASSERT(cond) static_assert(cond, #cond)
#else
#define WIRE_ASSERT(cond) _Static_assert(cond, #cond)
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

/* Marks the steps of bpf/read.bpf.h for src/agent/plain_loads.cpp. */
#define WIRE_READ_STEP 0x4e4a0001

/* Bytes [off, off + len) of the record that holds the slice; len 0: absent. */
struct wire_slice {
	__u32 off;
	__u32 len;
};

/* Numbers are never reused; a removed kind leaves its number behind. */
enum wire_kind {
	/* Not a record: counts processes that did not fit into the scope's map; they and their children go unseen. */
	WIRE_SCOPE_FULL = 0,
	WIRE_PROCESS_FORK = 1,
	WIRE_PROCESS_EXEC = 2,
	WIRE_PROCESS_EXIT = 3,
	WIRE_PROCESS_SNAPSHOT = 4,
	WIRE_EXEC_FAILED = 5,
	/* Not events: parts that the agent joins to events. */
	WIRE_EXEC_DATA = 6,   /* a piece of argv and environment that did not fit the exec record */
	WIRE_EXEC_SCRIPT = 7, /* one script of a #! chain, before its exec */
	WIRE_CGROUP = 8,      /* the path of a cgroup, once a cgroup */
	/* network.h */
	WIRE_NET_CONNECT = 28,
	WIRE_NET_ACCEPT = 29,
	WIRE_NET_CLOSE = 30,
	WIRE_NET_LISTEN = 31,
	WIRE_NET_BIND = 32,
	/* Not a record: counts connections that did not fit into the map; what becomes of them goes unseen. */
	WIRE_CONNECTIONS_FULL = 33,
	WIRE_UDP_SEND = 34,
	WIRE_UDP_RECEIVE = 35,
	/* Not a record: counts datagrams whose flow did not fit into the map. */
	WIRE_FLOWS_FULL = 36,
	WIRE_DNS_QUERY = 37,
	WIRE_DNS_ANSWER = 38,
	WIRE_UNIX_CONNECT = 39,
	/* namespaces, mounts, roots: wire/namespace.h */
	WIRE_UNSHARE = 40,
	WIRE_SETNS = 41,
	WIRE_MOUNT = 42,
	WIRE_UMOUNT = 43,
	WIRE_MOVE_MOUNT = 44,
	WIRE_PIVOT_ROOT = 45,
	WIRE_CHROOT = 46,
	/* wire/memory.h, privilege.h, kernel.h, signal.h */
	WIRE_PTRACE = 47,
	WIRE_PROCESS_VM_WRITE = 48,
	WIRE_PROC_MEM_WRITE = 49,
	WIRE_MEMFD_CREATE = 50,
	WIRE_MPROTECT_EXEC = 51,
	WIRE_MMAP_EXEC = 52,
	WIRE_SET_CREDENTIALS = 53,
	WIRE_CAPABILITY_SET = 54,
	WIRE_LOGIN_UID_SET = 55,
	WIRE_MODULE_LOAD = 56,
	WIRE_MODULE_UNLOAD = 57,
	WIRE_BPF_PROGRAM_LOAD = 58,
	WIRE_KEXEC_LOAD = 59,
	WIRE_SYSCTL_WRITE = 60,
	WIRE_KILL = 61,
	WIRE_BPF_ACCESS = 25,
	/* Not an event: a path of a call that is under way. */
	WIRE_PATH_PART = 62,
	/* wire/file.h; a block of its own, in the order of enum Kind */
	WIRE_FILE_CREATE = 9,
	WIRE_FILE_OPEN_WRITE = 10,
	WIRE_FILE_OPEN_READ = 11,
	WIRE_FILE_MODIFY = 12,
	WIRE_FILE_RENAME = 13,
	WIRE_FILE_DELETE = 14,
	WIRE_FILE_LINK = 15,
	WIRE_FILE_SYMLINK = 16,
	WIRE_FILE_CHMOD = 17,
	WIRE_FILE_CHOWN = 18,
	WIRE_FILE_TRUNCATE = 19,
	WIRE_FILE_MKDIR = 20,
	WIRE_FILE_RMDIR = 21,
	WIRE_FILE_MKNOD = 22,
	WIRE_FILE_XATTR_SET = 23,
	WIRE_FILE_UTIMES = 24,
	/* Not an event: bytes of a TCP connection to a name server. */
	WIRE_DNS_PART = 63,
	WIRE_KIND_END = 64 /* the largest and one */
};

/* Things that a program may fail to read; the record's header names them, the agent reports them as
 * nightjar.incomplete. */
enum wire_missing {
	WIRE_MISSING_EXECUTABLE = 1 << 0,
	WIRE_MISSING_CWD = 1 << 1,
	WIRE_MISSING_ARGS = 1 << 2,
	WIRE_MISSING_ENV = 1 << 3,
	WIRE_MISSING_FILENAME = 1 << 4,
	WIRE_MISSING_SCRIPTS = 1 << 5,
	WIRE_MISSING_CGROUP = 1 << 6,
	WIRE_MISSING_INTERPRETER = 1 << 7,
	/* The path was longer than the limits: shown, but cut at the root's end. */
	WIRE_CUT_EXECUTABLE = 1 << 8,
	WIRE_CUT_CWD = 1 << 9,
	/* Found out by user space: the process or its parent is not known (out of scope, or its records were lost). */
	WIRE_UNKNOWN_PROCESS = 1 << 10,
	WIRE_UNKNOWN_PARENT = 1 << 11,
	/* Of mounts. */
	WIRE_MISSING_MOUNT_PATHS = 1 << 24,
	WIRE_CUT_MOUNT_TARGET = 1 << 25,
	/* Of memory, signals and the kernel. */
	WIRE_MISSING_TARGET = 1 << 26,
	WIRE_MISSING_MEMORY_RANGES = 1 << 27,
	WIRE_CUT_MEMORY_RANGES = 1 << 28,
	WIRE_MISSING_SYSCTL = 1 << 29,
	WIRE_MISSING_DNS = 1 << 12,
	/* Of file events. */
	WIRE_MISSING_PATH = 1 << 13,
	WIRE_MISSING_OLD_PATH = 1 << 14,
	WIRE_MISSING_LINK_TEXT = 1 << 15,
	WIRE_MISSING_INODE = 1 << 16, /* and all that is read from it */
	WIRE_MISSING_OLD_MODE = 1 << 17,
	WIRE_MISSING_OLD_OWNER = 1 << 18,
	WIRE_MISSING_OVERWRITTEN = 1 << 19,
	WIRE_CUT_PATH = 1 << 20,
	WIRE_CUT_OLD_PATH = 1 << 21,
	WIRE_MISSING_SIZE = 1 << 22,
	/* Of the executable: found out by user space. */
	WIRE_MISSING_HASH = 1 << 23,
	WIRE_MISSING_PACKAGE = 1 << 30,
};

struct wire_header {
	__u64 time_ns;    /* CLOCK_BOOTTIME */
	__u64 seq;        /* counts the records of this kind on this CPU, lost ones too: a gap is a loss */
	__u32 size;       /* bytes of this record, header and tail included */
	__u16 kind;       /* enum wire_kind */
	__u16 cpu;
	__u32 incomplete; /* enum wire_missing */
	__u32 is_self;    /* of a snapshot: the agent's own process */
};
WIRE_ASSERT(sizeof(struct wire_header) == 32);

/* The namespaces of a task: inode numbers, 0 where the kernel has no such kind. */
struct wire_namespaces {
	__u32 mnt;
	__u32 pid;
	__u32 net;
	__u32 user;
	__u32 uts;
	__u32 ipc;
	__u32 cgroup;
	__u32 time;
};
WIRE_ASSERT(sizeof(struct wire_namespaces) == 32);

/* The acting process. Ids are those of the root pid namespace unless said otherwise. */
struct wire_task {
	__u64 start_ns;        /* of the thread group leader, CLOCK_BOOTTIME */
	__u64 parent_start_ns; /* of the parent's thread group leader */
	__u64 cgroup_id;
	__u32 pid;  /* thread group */
	__u32 tid;  /* acting thread */
	__u32 vpid; /* the thread group in its own innermost pid namespace */
	__u32 parent_pid;
	__u32 uid; /* effective */
	__u32 gid;
	__u32 ruid; /* real */
	__u32 rgid;
	__u32 suid; /* saved */
	__u32 sgid;
	__u32 login_uid; /* ~0: not set */
	__u32 pad0;
	struct wire_namespaces ns;
	char comm[16]; /* of the thread group leader */
};
WIRE_ASSERT(sizeof(struct wire_task) == 120);

/* Counted in the kernel for each kind on each CPU (map "counters"). happened = sent + lost. */
struct wire_counter {
	__u64 happened; /* also the next sequence number */
	__u64 lost;     /* the buffer was full, or `unscratched` */
	__u64 first_lost_ns; /* in the reader's current epoch */
	__u64 last_lost_ns;
	__u64 epoch; /* the reader's epoch at the last loss */
	__u64 unscratched; /* those of `lost` for which no scratch memory was free */
	__u64 suppressed; /* held back by rules and the rate limit; not in `happened`: they take no sequence number */
};
WIRE_ASSERT(sizeof(struct wire_counter) == 56);

/* Which processes the programs look at (constant "scope_mode"). */
enum wire_scope {
	WIRE_SCOPE_ALL = 0,
	WIRE_SCOPE_TREE = 1,   /* map "scope_tree" holds every process of the tree */
	WIRE_SCOPE_CGROUP = 2, /* cgroup2: below constant "scope_cgroup" */
};

/* Value of the map "scope_tree", key: thread group id. */
struct wire_scope_entry {
	__u64 start_ns;      /* 0: any; else an entry of another start is an old process's and does not count */
	__u32 children_only; /* the process itself is not in scope, its children are: the agent that starts COMMAND */
	__u32 pad0;
};
WIRE_ASSERT(sizeof(struct wire_scope_entry) == 16);

/* Kinds that have a rate limit: what a program can do in a loop for no other reason than to bury something else. Changes
 * of credentials and of the kernel are told however many there are. */
#define WIRE_KINDS_LIMITED                                                                                       \
	(1ULL << WIRE_NET_CONNECT | 1ULL << WIRE_NET_ACCEPT | 1ULL << WIRE_NET_CLOSE | 1ULL << WIRE_NET_LISTEN | \
	 1ULL << WIRE_NET_BIND | 1ULL << WIRE_UDP_SEND | 1ULL << WIRE_UDP_RECEIVE | 1ULL << WIRE_DNS_QUERY |     \
	 1ULL << WIRE_DNS_ANSWER | 1ULL << WIRE_UNIX_CONNECT | 1ULL << WIRE_UNSHARE | 1ULL << WIRE_SETNS |       \
	 1ULL << WIRE_MOUNT | 1ULL << WIRE_UMOUNT | 1ULL << WIRE_MOVE_MOUNT | 1ULL << WIRE_PIVOT_ROOT |          \
	 1ULL << WIRE_CHROOT | 1ULL << WIRE_PTRACE | 1ULL << WIRE_PROCESS_VM_WRITE | 1ULL << WIRE_PROC_MEM_WRITE | \
	 1ULL << WIRE_MEMFD_CREATE | 1ULL << WIRE_MPROTECT_EXEC | 1ULL << WIRE_MMAP_EXEC | 1ULL << WIRE_KILL)

/* Map "limits": a row for each process and kind of event, until it was quiet for long enough. Mapped into user space.
 * The first one's `suppressed` is the sum of all. */
#define WIRE_LIMIT_ROWS 4096
struct wire_limit {
	__u64 start_ns; /* of the process */
	__u64 full_ns;  /* when the bucket will be full again; a second from now: it is empty */
	__u64 suppressed; /* events held back, of whoever had the row; never goes back */
	__u64 told;       /* how many of these user space has taken over; written by it alone */
	__u32 pid;
	__u32 kind; /* enum wire_kind */
};
WIRE_ASSERT(sizeof(struct wire_limit) == 40);

/* Map "reader", one entry, mapped into user space. */
struct wire_reader {
	__u64 epoch; /* goes up each time the reader has told the losses */
	__u32 idle; /* the reader waits: the next record wakes it and clears this */
	__u32 rules; /* in force: wire/scalar_rules.h */
};
WIRE_ASSERT(sizeof(struct wire_reader) == 16);

#pragma GCC diagnostic pop

#ifdef __cplusplus
#include "wire/describe.hpp"

// clang-format off
WIRE_SCHEMA(wire_header,
  HIDDEN(time_ns), HIDDEN(seq), HIDDEN(size), HIDDEN(kind), HIDDEN(cpu), HIDDEN(incomplete), HIDDEN(is_self));

WIRE_SCHEMA(wire_namespaces,
  FIELD(mnt, "nightjar.ns.mnt", as::number.unless(0), "Mount namespace, inode number."),
  FIELD(pid, "nightjar.ns.pid", as::number.unless(0), "Pid namespace that the process is in, inode number."),
  FIELD(net, "nightjar.ns.net", as::number.unless(0), "Network namespace, inode number."),
  FIELD(user, "nightjar.ns.user", as::number.unless(0), "User namespace of the credentials, inode number."),
  FIELD(uts, "nightjar.ns.uts", as::number.unless(0), "UTS namespace, inode number."),
  FIELD(ipc, "nightjar.ns.ipc", as::number.unless(0), "IPC namespace, inode number."),
  FIELD(cgroup, "nightjar.ns.cgroup", as::number.unless(0), "Cgroup namespace, inode number."),
  FIELD(time, "nightjar.ns.time", as::number.unless(0), "Time namespace, inode number (kernel 5.6)."));

WIRE_SCHEMA(wire_task,
  HIDDEN(start_ns),
  HIDDEN(parent_start_ns),
  FIELD(cgroup_id, "nightjar.cgroup.id", as::number.unless(0), "Cgroup id: the inode number of the cgroup's directory."),
  FIELD(pid, "process.pid", as::number, "Process (thread group) id in the root pid namespace."),
  FIELD(tid, "process.thread.id", as::number, "The acting thread, root pid namespace."),
  FIELD(vpid, "process.vpid", as::number, "Process id inside its own innermost pid namespace."),
  FIELD(parent_pid, "process.parent.pid", as::number, "Process id of the real parent, root pid namespace."),
  FIELD(uid, "process.user.id", as::keyword, "Effective user id, in the initial user namespace."),
  FIELD(gid, "process.group.id", as::keyword, "Effective group id."),
  FIELD(ruid, "process.real_user.id", as::keyword, "Real user id."),
  FIELD(rgid, "process.real_group.id", as::keyword, "Real group id."),
  FIELD(suid, "process.saved_user.id", as::keyword, "Saved user id."),
  FIELD(sgid, "process.saved_group.id", as::keyword, "Saved group id."),
  FIELD(login_uid, "nightjar.login_uid", as::number.unless(0xffffffff), "Audit login uid: who logged in, whatever happened since."),
  PADDING(pad0),
  INLINED(ns),
  FIELD(comm, "process.name", as::text, "The kernel's name of the process (comm), at most 15 bytes."));
// clang-format on
#endif
