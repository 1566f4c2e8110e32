/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an exec record and a snapshot record share: the image that a process runs. */
#pragma once
#include "turn.bpf.h"
#include "wire/process.h"

#define FILENAME_BYTES 4096   /* PATH_MAX; the kernel takes no longer name */
#define INTERPRETER_BYTES 256 /* BINPRM_BUF_SIZE */

/* Where each part may begin at the latest. */
#define EXECUTABLE_END PATH_BYTES
#define CWD_END (EXECUTABLE_END + PATH_BYTES)
#define FILENAME_END (CWD_END + FILENAME_BYTES)
#define STRINGS_END (FILENAME_END + INTERPRETER_BYTES)

/* argv and environment up to here travel in the record itself; what is before is sent in pieces. A perf record must
 * stay below 64 KiB. */
#define INLINE_MAX 0x7fff
#define PIECE_BYTES 57344
#define PIECES_MAX 48 /* 2.6 MiB; the kernel's own limit is a quarter of the stack limit, 2 MiB by default */

/* Where a record of an image is made. Its paths are walked to where they stay. */
struct image_row {
	struct path_walk walk;
	__u64 start; /* of the path that is walked, in the tail */
	struct process_exec rec;
	__u8 tail[STRINGS_END + INLINE_MAX + 1];
};
WIRE_ASSERT(sizeof(struct process_exec) + sizeof(((struct image_row *)0)->tail) < 65000);

struct piece_scratch {
	__u64 done; /* bytes sent so far */
	struct exec_data rec;
	__u8 tail[PIECE_BYTES];
};

static __always_inline bool is_memfd(struct dentry *dentry)
{
	char name[8] = {};
	const char begin[8] = "memfd:";

	if (READ(dentry, d_parent) != dentry)
		return false;
	bpf_probe_read_kernel(name, 6, READ(dentry, d_name.name));
	return __builtin_memcmp(name, begin, sizeof(name)) == 0; /* eight bytes: one compare */
}

/* The kernel id of user 0 in a user namespace, if its first range has it; else no id. */
static __always_inline __u32 root_of(struct user_namespace *ns)
{
	__u32 first = READ(ns, uid_map.extent[0].first);
	__u32 ranges = READ(ns, uid_map.nr_extents);

	if (READ(ns, level) == 0)
		return 0;
	return ranges && ranges <= 5 && first == 0 ? READ(ns, uid_map.extent[0].lower_first) : ~0U;
}

/* Capabilities, and whether the file gave some: a process that runs neither as real nor as effective root of its
 * user namespace has no permitted capability after an exec but ambient ones and the file's (capabilities(7),
 * "Transformation of capabilities during execve()"). */
static __always_inline void fill_capabilities(struct process_exec *rec, struct task_struct *task)
{
	const struct cred *cred = READ(task, real_cred);
	__u32 root = root_of(READ(cred, user_ns));

	put_capabilities(rec, cred);
	if (root != ~0U && rec->task.uid != root && rec->task.ruid != root && (rec->cap_permitted & ~rec->cap_ambient))
		rec->flags |= WIRE_EXEC_FILE_CAPS;
}

static __always_inline void fill_file(struct process_exec *rec, struct file *file, struct dentry *dentry)
{
	struct inode *inode = READ(file, f_inode);
	struct super_block *sb = READ(inode, i_sb);
	struct file_times times = inode_times(inode);

	rec->file.inode = READ(inode, i_ino);
	rec->file.size = READ(inode, i_size);
	rec->file.mtime_ns = times.mtime_ns;
	rec->file.ctime_ns = times.ctime_ns;
	rec->file.dev = READ(sb, s_dev);
	rec->file.mode = READ(inode, i_mode);
	rec->file.uid = READ(inode, i_uid.val);
	rec->file.gid = READ(inode, i_gid.val);
	if (rec->file.mode & S_ISUID)
		rec->flags |= WIRE_EXEC_SETUID;
	if ((rec->file.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		rec->flags |= WIRE_EXEC_SETGID;
	if (is_memfd(dentry))
		rec->flags |= WIRE_EXEC_MEMFD;
	else if (!READ(dentry, d_hash.pprev) || !READ(inode, i_nlink))
		rec->flags |= WIRE_EXEC_DELETED;
	if (READ(sb, s_magic) == OVERLAYFS_SUPER_MAGIC && overlay_inode_is_upper(inode))
		rec->flags |= WIRE_EXEC_UPPER_LAYER;
}

static __always_inline void fill_session(struct process_exec *rec, struct task_struct *task)
{
	struct tty_struct *tty = READ(task, signal, tty);

	rec->session_pid = signal_pid_nr(task, PIDTYPE_SID);
	rec->group_pid = signal_pid_nr(task, PIDTYPE_PGID);
	rec->tty_major = 0;
	rec->tty_minor = 0;
	if (tty) {
		rec->tty_major = READ(tty, driver, major);
		rec->tty_minor = READ(tty, driver, minor_start) + READ(tty, index);
	}
}

/* What is known of an image without its paths and arguments. */
static __always_inline void fill_image_facts(struct process_exec *rec, struct task_struct *task, struct file *file)
{
	rec->flags = 0;
	rec->old_tid = 0;
	rec->args_count = 0;
	rec->data_before = 0;
	rec->args_bytes = 0;
	rec->env_bytes = 0;
	__builtin_memset(&rec->executable, 0, 5 * sizeof(struct wire_slice));
	fill_file(rec, file, READ(file, f_path.dentry));
	fill_capabilities(rec, task);
	fill_session(rec, task);
}

static __always_inline __u64 span_of(__u64 start, __u64 end)
{
	return end > start ? end - start : 0;
}

#ifndef NIGHTJAR_LEGACY
/* As path_rows (path.bpf.h). */
enum image_user { IMAGE_OF_EXEC = 0, IMAGE_OF_SNAPSHOT = COPIES, IMAGE_USERS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, IMAGE_USERS);
	__type(key, __u32);
	__type(value, struct image_row);
} image_rows __weak SEC(".maps");

static __always_inline __u32 image_row_of(enum image_user user, int copy)
{
	return bpf_get_smp_processor_id() * IMAGE_USERS + user + copy;
}

static __always_inline struct image_row *image_at(__u32 row)
{
	return bpf_map_lookup_elem(&image_rows, &row);
}

/* NULL: there is no room for a path. */
static __always_inline __u8 *image_path(struct image_row *s)
{
	__u64 start = s->start;

	opaque(start);
	return start <= EXECUTABLE_END ? s->tail + start : NULL;
}

__weak __noinline int image_stride(__u32 row)
{
	struct image_row *s = image_at(row);
	__u8 *base = s ? image_path(s) : NULL;

	return base ? stride(&s->walk, base) : 0;
}

__weak __noinline int image_leap(__u32 row)
{
	return leap(image_stride, row);
}

__weak __noinline int walk_image(__u32 row, __u64 vfsmount, __u64 dentry)
{
	struct image_row *s = image_at(row);
	__u8 *base = s ? image_path(s) : NULL;

	return base ? walk_all(image_leap, row, &s->walk, base, vfsmount, dentry) : 0;
}

/* Walks a path to s->tail + at. Returns its length, at most PATH_BYTES. */
static __always_inline __u64 put_image_path(struct image_row *s, __u32 row, __u64 at, struct vfsmount *mnt,
					    struct dentry *dentry, __u32 missing, __u32 cut)
{
	__u64 len;

	s->start = at;
	len = walk_image(row, (__u64)mnt, (__u64)dentry);
	if (s->walk.cut)
		s->rec.hdr.incomplete |= cut;
	opaque(len);
	if (!len || len > PATH_BYTES) {
		s->rec.hdr.incomplete |= missing;
		return 0;
	}
	return len;
}

/* Everything of an image but its arguments: file, paths, capabilities, session. Returns how much of the tail is used.
 */
static __always_inline __u64 fill_image(struct image_row *s, struct task_struct *task, __u32 row)
{
	struct process_exec *rec = &s->rec;
	struct file *file = READ(task, mm, exe_file);
	__u64 at;

	fill_image_facts(rec, task, file);
	at = put_image_path(s, row, 0, READ(file, f_path.mnt), READ(file, f_path.dentry), WIRE_MISSING_EXECUTABLE,
			    WIRE_CUT_EXECUTABLE);
	rec->executable.off = sizeof(*rec);
	rec->executable.len = at;
	rec->cwd.off = sizeof(*rec) + at;
	rec->cwd.len = put_image_path(s, row, at, READ(task, fs, pwd.mnt), READ(task, fs, pwd.dentry), WIRE_MISSING_CWD,
				      WIRE_CUT_CWD);
	return at + rec->cwd.len;
}
#endif
