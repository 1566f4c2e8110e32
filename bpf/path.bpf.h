/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Paths, as components from leaf to root, each ended by a NUL: the order in which the kernel's pointers lead. User
 * space turns them round. */
#pragma once
#include "emit.bpf.h"
#include "fixes.bpf.h"

#define NAME_BYTES 256 /* NAME_MAX and the terminator */
/* Deeper paths are cut at the root's end and marked. */
#define STRIDE_COMPONENTS 4
#define STRIDES 16 /* in a leap */
#define LEAPS 16
#define PATH_COMPONENTS (LEAPS * STRIDES * STRIDE_COMPONENTS)

/* The state of a walk lives in map memory, not in registers: the verifier then knows nothing of it but what the check
 * before each write says, so that every iteration looks the same to it. With registers, one path of 512 components took
 * more than its limit of a million steps; so, and in strides of global functions, which it checks once, a few thousand
 * do. */
struct path_walk {
	__u64 at;     /* where the next component goes */
	__u32 cut;    /* more components than the limit, or no room */
	__u32 failed; /* a read failed; what was written is dropped */
	/* Where the walk over mounts and dentries is. */
	__u64 mnt, root, dentry;
};

/* Writes one component. False: no room, or unreadable. */
static __always_inline bool put_component(volatile struct path_walk *walk, __u8 *base, __u64 limit, const void *name)
{
	__u64 at = walk->at;
	long n;

	if (at >= limit) {
		walk->cut = 1;
		return false;
	}
	n = bpf_probe_read_kernel_str(base + at, NAME_BYTES, name);
	if (n <= 0) {
		walk->failed = 1;
		return false;
	}
	walk->at = at + n;
	return true;
}

static __always_inline void begin_walk(volatile struct path_walk *walk, __u64 start)
{
	walk->at = start;
	walk->cut = 0;
	walk->failed = 0;
}

/* The length of what was walked; the root itself is one empty component. */
static __always_inline __u32 end_walk(volatile struct path_walk *walk, __u8 *base, __u64 start, __u64 limit)
{
	__u64 at = walk->at;

	if (walk->failed)
		return 0;
	if (at == start) {
		opaque(at); /* or the bound would be checked of the one, and the other used */
		if (at < limit) {
			base[at] = 0;
			at++;
		}
	}
	return at - start;
}

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

#define PATH_LIMIT 8192
#define PATH_BYTES (PATH_LIMIT + NAME_BYTES)

#ifndef NIGHTJAR_LEGACY /* which has no calls: legacy_path.bpf.h */

/* A place to walk into: one for each program that needs paths, and copy of it, on each CPU, so that none meets
 * another's half-walked path (the agent sets max_entries). An exec walks into its own record (exec.bpf.h). */
struct path_row {
	struct path_walk walk;
	__u8 bytes[PATH_BYTES];
};

enum path_user {
	PATH_OF_SCRIPT = 0,
	PATH_OF_POOL = COPIES, /* call.bpf.h */
	PATH_USERS = 2 * COPIES
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PATH_USERS);
	__type(key, __u32);
	__type(value, struct path_row);
} path_rows __weak SEC(".maps");

static __always_inline __u32 path_row_of(enum path_user user, int copy)
{
	return bpf_get_smp_processor_id() * PATH_USERS + user + copy;
}

/* Up to STRIDE_COMPONENTS steps towards the root of the mount namespace, across mounts (what prepend_path does, but
 * past a chroot). 0: the walk is over. `base` has room for PATH_BYTES. */
static __always_inline int stride(volatile struct path_walk *walk, __u8 *base)
{
	struct dentry *dentry = (void *)walk->dentry;
	struct dentry *root = (void *)walk->root;
	struct mount *mnt = (void *)walk->mnt;

	for (int i = 0; i < STRIDE_COMPONENTS; i++) {
		struct dentry *parent;

		if (dentry == root) {
			struct mount *up = READ(mnt, mnt_parent);

			if (up == mnt || !up)
				return 0;
			dentry = READ(mnt, mnt_mountpoint);
			mnt = up;
			root = READ(mnt, mnt.mnt_root);
			continue;
		}
		parent = READ(dentry, d_parent);
		if (!put_component(walk, base, PATH_LIMIT, READ(dentry, d_name.name)))
			return 0;
		/* Its own parent, yet not the root of a mount: a file that never had a place (memfd). */
		if (parent == dentry)
			return 0;
		dentry = parent;
	}
	walk->dentry = (__u64)dentry;
	walk->root = (__u64)root;
	walk->mnt = (__u64)mnt;
	return 1;
}

/* Many strides of a row. */
static __always_inline int leap(int (*stride_of)(__u32 row), __u32 row)
{
	for (int i = 0; i < STRIDES; i++) {
		if (!stride_of(row))
			return 0;
	}
	return 1;
}

/* From the dentry to the root, in leaps of a row. Returns the length. */
static __always_inline int walk_all(int (*leap_of)(__u32 row), __u32 row, volatile struct path_walk *walk, __u8 *base,
				    __u64 vfsmount, __u64 dentry)
{
	struct mount *mnt = mount_of((void *)vfsmount);

	walk->dentry = dentry;
	walk->mnt = (__u64)mnt;
	walk->root = (__u64)READ(mnt, mnt.mnt_root);
	begin_walk(walk, 0);
	for (int i = 0; i < LEAPS; i++) {
		if (!leap_of(row))
			return end_walk(walk, base, 0, PATH_LIMIT);
	}
	walk->cut = 1;
	return end_walk(walk, base, 0, PATH_LIMIT);
}

/* Global functions with plain numbers as arguments: the verifier checks each once (5.6), not once a call. */
__weak __noinline int walk_stride(__u32 row)
{
	struct path_row *r = bpf_map_lookup_elem(&path_rows, &row);

	return r ? stride(&r->walk, r->bytes) : 0;
}

__weak __noinline int walk_leap(__u32 row)
{
	return leap(walk_stride, row);
}

/* Walks into a row of path_rows, and returns the length. */
__weak __noinline int walk_path(__u32 row, __u64 vfsmount, __u64 dentry)
{
	struct path_row *r = bpf_map_lookup_elem(&path_rows, &row);

	return r ? walk_all(walk_leap, row, &r->walk, r->bytes, vfsmount, dentry) : 0;
}

/* Walks a path and copies it to `to`, which must have room for PATH_BYTES. Sets the bits of `incomplete` that apply.
 * Returns the length. */
static __always_inline __u32 put_path(__u8 *to, __u32 row, struct vfsmount *mnt, struct dentry *dentry,
				      __u32 *incomplete, __u32 missing, __u32 cut)
{
	struct path_row *r = bpf_map_lookup_elem(&path_rows, &row);
	__u64 len;

	if (!r)
		return 0;
	len = walk_path(row, (__u64)mnt, (__u64)dentry);
	if (r->walk.cut)
		*incomplete |= cut;
	opaque(len);
	if (!len || len > PATH_BYTES || bpf_probe_read_kernel(to, len, r->bytes)) {
		*incomplete |= missing;
		return 0;
	}
	return len;
}

#endif
