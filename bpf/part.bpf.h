/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Paths that are told before their event: they are gone, or others, once the call is done. */
#pragma once
#include "call.bpf.h"

static __always_inline int tell_part(void *ctx, __u32 of, __u32 part, struct path *path)
{
	struct vfsmount *vfsmount = READ(path, mnt);
	struct dentry *dentry = READ(path, dentry);
	struct mount *mnt = mount_of(vfsmount);
	struct path_part *rec;
	struct pool_row *row;
	__u64 at = 0;

	if (!current_in_scope())
		return 0;
	row = take_row(WIRE_PATH_PART);
	if (!row)
		return 0;
	rec = record_in(row, struct path_part);
	if (begin_record(&rec->hdr, WIRE_PATH_PART)) {
		rec->tid = bpf_get_current_pid_tgid();
		rec->of = of;
		rec->part = part;
		rec->pad0 = 0;
		__builtin_memset(&rec->path, 0, 3 * sizeof(rec->path));
		/* A mount that is nowhere yet has no path, but what it was made of. */
		if (part == WIRE_PART_SOURCE && READ(mnt, mnt_parent) == mnt) {
			at = put_pool_text(row, at, sizeof(*rec), &rec->text, READ(mnt, mnt_devname), false,
					   TEXT_BYTES);
		} else {
			at = put_pool_path(row, at, sizeof(*rec), &rec->path, vfsmount, dentry, &rec->hdr.incomplete,
					   WIRE_MISSING_MOUNT_PATHS, WIRE_CUT_MOUNT_TARGET);
		}
		if (part == WIRE_PART_SOURCE)
			at = put_pool_text(row, at, sizeof(*rec), &rec->fstype, READ(vfsmount, mnt_sb, s_type, name),
					   false, TYPE_BYTES);
		end_event(ctx, &activity, &rec->hdr, sizeof(*rec), at);
	}
	give_back(row);
	return 0;
}
