/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Namespaces, mounts and roots. */
#pragma once
#include "wire/base.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

/* unshare and setns, done: task.ns is what the thread has now. */
struct namespace_change {
	struct wire_header hdr;
	struct wire_task task;
	struct wire_namespaces before;
	__u64 flags; /* as given, and CLONE_NEW* of each namespace that changed */
	__u32 pid_for_children; /* the pid namespace of children yet to come */
	__u32 pid_for_children_before;
};
WIRE_ASSERT(sizeof(struct namespace_change) == 200);

/* The paths of a call; each may instead have come before in a WIRE_PATH_PART. */
struct mount_paths {
	struct wire_slice target; /* components, leaf first; or text, see as_given */
	struct wire_slice put_old; /* likewise */
	struct wire_slice source; /* text: a path, a device or any word */
	struct wire_slice fstype; /* text */
	struct wire_slice cwd; /* components; only where a path is relative */
	__u32 as_given; /* paths are as the caller wrote them */
	__u32 source_is_path;
};
WIRE_ASSERT(sizeof(struct mount_paths) == 48);

/* One struct for each call: they differ in the names of their flags. */
struct mount_done {
	struct wire_header hdr;
	struct wire_task task;
	struct mount_paths paths;
	__u64 flags;
};
struct umount_done {
	struct wire_header hdr;
	struct wire_task task;
	struct mount_paths paths;
	__u64 flags;
};
struct move_mount_done {
	struct wire_header hdr;
	struct wire_task task;
	struct mount_paths paths;
	__u64 flags;
};
/* pivot_root and chroot */
struct root_change {
	struct wire_header hdr;
	struct wire_task task;
	struct mount_paths paths;
};
WIRE_ASSERT(sizeof(struct mount_done) == 208);
WIRE_ASSERT(sizeof(struct root_change) == 200);

enum wire_part {
	WIRE_PART_TARGET = 0,
	WIRE_PART_SOURCE = 1,
	WIRE_PART_PUT_OLD = 2,
	WIRE_PART_FILE = 3,
};

/* A path that is gone, or another, when the call that it belongs to is done: told before. If the call fails, user space
 * drops it. */
struct path_part {
	struct wire_header hdr;
	__u32 tid; /* the thread that calls */
	__u32 of;  /* enum wire_kind: the event that follows */
	__u32 part; /* enum wire_part */
	__u32 pad0;
	struct wire_slice path; /* components, leaf first */
	struct wire_slice text; /* in place of a path: a device or any word */
	struct wire_slice fstype; /* text */
};
WIRE_ASSERT(sizeof(struct path_part) == 72);

#pragma GCC diagnostic pop

#ifdef __cplusplus
#include "wire/names.hpp"

// clang-format off
WIRE_SCHEMA(namespace_change,
  INLINED(hdr), INLINED(task), HIDDEN(before),
  FIELD(flags, "nightjar.clone.flags", as::names(clone_flag_names), "Flags of the call, and CLONE_NEW* for each namespace that it changed."),
  FIELD(pid_for_children, "nightjar.ns.pid_for_children", as::number.unless(0), "Pid namespace of the children yet to come, inode number: unshare and setns do not move the process itself."),
  HIDDEN(pid_for_children_before));

WIRE_SCHEMA(mount_paths,
  HIDDEN(target), HIDDEN(put_old), HIDDEN(source), HIDDEN(fstype), HIDDEN(cwd), HIDDEN(as_given), HIDDEN(source_is_path));

WIRE_SCHEMA(mount_done,
  INLINED(hdr), INLINED(task), INLINED(paths),
  FIELD(flags, "nightjar.mount.flags", as::names(mount_flag_names), "Flags of mount(2)."));

WIRE_SCHEMA(umount_done,
  INLINED(hdr), INLINED(task), INLINED(paths),
  FIELD(flags, "nightjar.mount.flags", as::names(umount_flag_names), "Flags of umount2(2)."));

WIRE_SCHEMA(move_mount_done,
  INLINED(hdr), INLINED(task), INLINED(paths),
  FIELD(flags, "nightjar.mount.flags", as::names(move_mount_flag_names), "Flags of move_mount(2)."));

WIRE_SCHEMA(root_change,
  INLINED(hdr), INLINED(task), INLINED(paths));

WIRE_SCHEMA(path_part,
  INLINED(hdr), HIDDEN(tid), HIDDEN(of), HIDDEN(part), PADDING(pad0), HIDDEN(path), HIDDEN(text), HIDDEN(fstype));
// clang-format on
#endif
