/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* File events: what was done to which file, by its path and its identity. */
#pragma once
#include "wire/base.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

/* Absent numbers. */
#define WIRE_NO_ID 0xffffffffU   /* owner, group, mode */
#define WIRE_NO_COUNT (~0ULL)    /* bytes, sizes */

enum wire_file_flags {
	WIRE_FILE_EXCHANGE = 1 << 0,    /* of a rename: the two names changed places */
	WIRE_FILE_DELETED = 1 << 1,     /* the file has no name (any more): O_TMPFILE, memfd, unlinked while open */
	WIRE_FILE_UNREACHABLE = 1 << 2, /* the path is of no mount of the process's mount namespace */
};

struct file_event {
	struct wire_header hdr;
	struct wire_task task;
	__u64 inode; /* 0: not known */
	__u64 size;
	__u64 old_inode;
	__u64 overwritten_inode;
	__u64 bytes_written;
	__u32 dev; /* as stat(2) shows it, in the kernel's encoding: major << 20 | minor */
	__u32 mode; /* with the type's bits */
	__u32 uid;
	__u32 gid;
	__u32 old_mode;
	__u32 old_uid;
	__u32 old_gid;
	__u32 flags; /* enum wire_file_flags */
	__u32 open_flags; /* O_*; 0 when not an open */
	__u32 pad0;
	struct wire_slice path;     /* components, leaf first */
	struct wire_slice old_path; /* components, leaf first; of rename and link */
	struct wire_slice target;   /* a symbolic link's text */
	struct wire_slice xattr;    /* name of the attribute */
};
WIRE_ASSERT(sizeof(struct file_event) == 32 + 120 + 5 * 8 + 10 * 4 + 4 * 8);

#pragma GCC diagnostic pop

#ifdef __cplusplus
#include "wire/names.hpp"

// clang-format off
WIRE_SCHEMA(file_event,
  INLINED(hdr), INLINED(task),
  FIELD(inode, "file.inode", as::keyword.unless(0), "Inode number of the file, as stat(2) shows it."),
  FIELD(size, "file.size", as::number.unless(WIRE_NO_COUNT), "Size of the file after the event, bytes."),
  FIELD(old_inode, "nightjar.file.old_inode", as::number.unless(0), "Inode that the old path named before the rename, or names too, for a link."),
  FIELD(overwritten_inode, "nightjar.file.overwritten_inode", as::number.unless(0), "Inode that the new path named before the rename; with exchange, the one that the old path names now."),
  FIELD(bytes_written, "nightjar.file.bytes_written", as::number.unless(WIRE_NO_COUNT), "Bytes written through this open file, from its opening to its last close."),
  FIELD(dev, "file.device", as::device.unless(0), "Device that stat(2) shows for the file, MAJOR:MINOR."),
  FIELD(mode, "file.mode", as::octal.unless(WIRE_NO_ID), "Permission bits of the file after the event, octal."),
  FIELD(uid, "file.uid", as::keyword.unless(WIRE_NO_ID), "Owner of the file after the event."),
  FIELD(gid, "file.gid", as::keyword.unless(WIRE_NO_ID), "Group of the file after the event."),
  FIELD(old_mode, "nightjar.file.old_mode", as::octal.unless(WIRE_NO_ID), "Permission bits before the change, octal."),
  FIELD(old_uid, "nightjar.file.old_uid", as::keyword.unless(WIRE_NO_ID), "Owner before the change."),
  FIELD(old_gid, "nightjar.file.old_gid", as::keyword.unless(WIRE_NO_ID), "Group before the change."),
  HIDDEN(flags),
  FIELD(open_flags, "nightjar.file.open_flags", as::names(wire::open_flag_names).unless(0), "Flags of the open file."),
  PADDING(pad0), HIDDEN(path), HIDDEN(old_path), HIDDEN(target),
  FIELD(xattr, "nightjar.file.xattr", as::text, "Name of the extended attribute."));
// clang-format on
#endif
