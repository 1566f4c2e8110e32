/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records with paths in the legacy tier. A walk takes more instructions than a program may have, so it goes on in tail
 * calls, and so does what comes after it: an event is a chain of programs over one row of memory. */
#pragma once
#include "exec.bpf.h"
#include "file.bpf.h"

/* The kernel allows 32 tail calls in a chain (MAX_TAIL_CALL_CNT): two walks, and the programs between and after them.
 */
#define LEGACY_STRIDES 14
#define LEGACY_STEPS 40

/* The slots of a map of programs; those of one kind of program only may be in one map. */
enum legacy_slot {
	LEGACY_WALK = 0,
	LEGACY_NEXT = 1, /* after the first path */
	LEGACY_LAST = 2, /* after the last */
	LEGACY_ARGS = 3, /* of an exec: after that */
	LEGACY_SLOTS
};

/* The tail holds two paths, then an exec's strings and arguments. A walk looks at its limit after each stride, so that
 * a path may be longer by one. */
#define LEGACY_PATH_END (PATH_LIMIT + LEGACY_STEPS * NAME_BYTES)
#define LEGACY_WALK_END (2 * LEGACY_PATH_END)
#define LEGACY_ARGS_MAX 0x3fff
#define LEGACY_STRINGS_END (LEGACY_WALK_END + NAME_BYTES + FILENAME_BYTES + INTERPRETER_BYTES)
#define LEGACY_TAIL (LEGACY_STRINGS_END + LEGACY_ARGS_MAX + 1)
#define LEGACY_FIXED 512

struct legacy_work {
	struct path_walk walk;
	__u64 begin; /* of the path that is walked, in the tail; at last, of what comes after all strings */
	__u32 strides;
	__u32 then; /* enum legacy_slot */
	__u32 kind;
	__u32 pad0;
	struct file_facts facts;
	__u8 fixed[LEGACY_FIXED]; /* the record's struct, at the end */
	__u8 tail[LEGACY_TAIL];
};
WIRE_ASSERT(LEGACY_FIXED + LEGACY_TAIL < 65000); /* a perf record stays below 64 KiB */
WIRE_ASSERT(LEGACY_WALK_END + NAME_BYTES <= LEGACY_TAIL);

SHARED_SCRATCH(legacy_scratch, struct legacy_work);

#define legacy_record(work, type) ((type *)((work)->tail - sizeof(type)))

static __always_inline struct legacy_work *legacy_work(void)
{
	return scratch_of(&legacy_scratch, 0);
}

/* Walks a path to `begin` in the tail, then goes on with program `then`. Returns only when the call was refused, which
 * costs the event. */
static __always_inline void legacy_walk(void *ctx, void *calls, struct legacy_work *w, struct vfsmount *vfsmount,
					struct dentry *dentry, __u64 begin, __u32 then)
{
	struct mount *mnt = mount_of(vfsmount);

	w->walk.dentry = (__u64)dentry;
	w->walk.mnt = (__u64)mnt;
	w->walk.root = (__u64)READ(mnt, mnt.mnt_root);
	begin_walk(&w->walk, begin);
	w->begin = begin;
	w->then = then;
	w->strides = 0;
	bpf_tail_call(ctx, calls, LEGACY_WALK);
	count_loss(w->kind, bpf_ktime_get_boot_ns());
}

/* LEGACY_STEPS steps towards the root, as walk_stride (path.bpf.h) makes them. */
static __always_inline int legacy_stride(void *ctx, void *calls)
{
	struct legacy_work *w = legacy_work();
	struct dentry *dentry, *root, *parent;
	struct mount *mnt, *up;

	if (!w)
		return 0;
	dentry = (void *)w->walk.dentry;
	root = (void *)w->walk.root;
	mnt = (void *)w->walk.mnt;
	UNROLLED for (int i = 0; i < LEGACY_STEPS; i++)
	{
		if (dentry == root) {
			up = READ(mnt, mnt_parent);
			STOP_UNLESS(up != mnt && up);
			dentry = READ(mnt, mnt_mountpoint);
			mnt = up;
			root = READ(mnt, mnt.mnt_root);
		} else {
			parent = READ(dentry, d_parent);
			STOP_UNLESS(put_component(&w->walk, w->tail, LEGACY_WALK_END, READ(dentry, d_name.name)));
			STOP_UNLESS(parent != dentry);
			dentry = parent;
		}
	}
	w->walk.dentry = (__u64)dentry;
	w->walk.root = (__u64)root;
	w->walk.mnt = (__u64)mnt;
	if (w->walk.at >= w->begin + PATH_LIMIT || ++w->strides >= LEGACY_STRIDES) {
		w->walk.cut = 1;
		bpf_tail_call(ctx, calls, w->then);
	} else {
		bpf_tail_call(ctx, calls, LEGACY_WALK);
	}
	count_loss(w->kind, bpf_ktime_get_boot_ns());
	return 0;
	LOOP_END;
	bpf_tail_call(ctx, calls, w->then);
	count_loss(w->kind, bpf_ktime_get_boot_ns());
	return 0;
}

/* The path that was walked, as a slice of a record with a struct of `fixed` bytes. Returns where it ends. */
static __always_inline __u64 legacy_path(struct legacy_work *w, struct wire_slice *slice, __u32 fixed,
					 __u32 *incomplete, __u32 missing, __u32 cut)
{
	__u64 begin = w->begin;
	__u64 len = end_walk(&w->walk, w->tail, begin, LEGACY_WALK_END);

	if (w->walk.cut)
		*incomplete |= cut;
	if (!len)
		*incomplete |= missing;
	slice->off = fixed + begin;
	slice->len = len;
	return begin + len;
}
