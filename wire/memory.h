/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory of other processes, memory that can be executed. */
#pragma once
#include "wire/base.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

/* The process acted upon, ids of the root pid namespace. */
struct wire_target {
	__u64 start_ns; /* 0: not known */
	__u32 pid; /* 0: not known */
	__u32 pad0;
	char comm[16];
};
WIRE_ASSERT(sizeof(struct wire_target) == 32);

struct ptrace_done {
	struct wire_header hdr;
	struct wire_task task;
	struct wire_target target;
	__u64 request;
	__u64 address;
};
WIRE_ASSERT(sizeof(struct ptrace_done) == 200);

/* Ranges told in full; how many there were stands beside. */
#define WIRE_RANGES 16
struct wire_range {
	__u64 address;
	__u64 length;
};

struct memory_write {
	struct wire_header hdr;
	struct wire_task task;
	struct wire_target target;
	__u64 bytes; /* written */
	__u32 ranges; /* asked for, of which the first WIRE_RANGES follow */
	__u32 pad0;
	struct wire_slice range; /* of struct wire_range */
};
WIRE_ASSERT(sizeof(struct memory_write) == 208);

struct memfd_done {
	struct wire_header hdr;
	struct wire_task task;
	__u64 inode; /* 0: not known */
	__u32 dev;
	__u32 pad0;
	struct wire_slice name;
};
WIRE_ASSERT(sizeof(struct memfd_done) == 176);

/* mprotect_exec, mmap_exec */
struct executable_memory {
	struct wire_header hdr;
	struct wire_task task;
	__u64 address;
	__u64 length;
	__u64 protection;
	__u64 flags; /* of mmap */
};
WIRE_ASSERT(sizeof(struct executable_memory) == 184);

#pragma GCC diagnostic pop

#ifdef __cplusplus
#include "wire/names.hpp"

// clang-format off
WIRE_SCHEMA(wire_target,
  HIDDEN(start_ns),
  FIELD(pid, "nightjar.target.pid", as::number.unless(0), "The process acted upon, root pid namespace."),
  PADDING(pad0),
  FIELD(comm, "nightjar.target.name", as::text, "The kernel's name of that process (comm)."));

WIRE_SCHEMA(ptrace_done,
  INLINED(hdr), INLINED(task), INLINED(target),
  FIELD(request, "nightjar.ptrace.request", as::name(ptrace_request_names), "Request of ptrace(2)."),
  HIDDEN(address));

WIRE_SCHEMA(memory_write,
  INLINED(hdr), INLINED(task), INLINED(target),
  FIELD(bytes, "nightjar.memory.bytes", as::number, "Bytes that were written, in all."),
  HIDDEN(ranges), PADDING(pad0), HIDDEN(range));

WIRE_SCHEMA(memfd_done,
  INLINED(hdr), INLINED(task),
  FIELD(inode, "file.inode", as::keyword.unless(0), "Inode number of the memory file."),
  FIELD(dev, "file.device", as::device.unless(0), "Device of the memory file, MAJOR:MINOR."),
  PADDING(pad0),
  FIELD(name, "file.name", as::text, "The name that was given; it says nothing of where the file is."));

WIRE_SCHEMA(executable_memory,
  INLINED(hdr), INLINED(task),
  HIDDEN(address), HIDDEN(length),
  FIELD(protection, "nightjar.memory.protection", as::names(protection_names), "Protection that was asked for."),
  FIELD(flags, "nightjar.memory.flags", as::names(map_flag_names).unless(0), "Flags of mmap(2)."));
// clang-format on
#endif
