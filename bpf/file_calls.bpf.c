/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* File events where functions cannot be traced: from system calls, and from what the kernel shows of them meanwhile.
 *
 * An open gives a descriptor, and that the file. A call that only takes names gives nothing; but whatever it does to
 * a file sets that file's change time, and since 6.13 tracepoints tell of that, with the inode. The inodes that a
 * thread touched between entry and return of its call are its witnesses: among them is the file, and its directory.
 * What is reported is what they are, not the names that the caller passed. */
#include "file_witness.bpf.h"

/* ---- Entry ---- */

static __always_inline struct file_syscall *begin_syscall(void)
{
	__u64 thread = bpf_get_current_pid_tgid();

	if (bpf_map_update_elem(&file_syscalls, &thread, &no_syscall, BPF_ANY))
		return NULL;
	return bpf_map_lookup_elem(&file_syscalls, &thread);
}

static __always_inline int syscall_begins(struct call_enters *ctx)
{
	struct arguments arguments;
	struct asked asked = {};
	struct file_syscall *s;
	struct inode *inode;
	struct file *file;

	if (!in_scope((void *)bpf_get_current_task(), false))
		return 0;
	arguments = arguments_of(ctx->registers);
	if (!describe(&asked, &arguments, ctx->nr))
		return 0;
	s = begin_syscall();
	if (!s)
		return 0;
	s->asked = asked;
	s->old_mode = s->old_uid = s->old_gid = WIRE_NO_ID;
	if (asked.kind == WIRE_FILE_OPEN_WRITE)
		return 0;
	if (asked.fd >= 0) {
		file = file_of(asked.fd);
		inode = file ? READ(file, f_inode) : NULL;
		if (inode) {
			s->old_mode = READ(inode, i_mode);
			s->old_uid = READ(inode, i_uid.val);
			s->old_gid = READ(inode, i_gid.val);
		}
		return 0;
	}
	return 0;
}

/* ---- Exit ---- */

/* Some steps along the mounts of a file system, from s->mount on. The first that is in the process's namespace and
 * shows the root of it; 0: none yet. */
#define MOUNTS_AT_ONCE 8
__noinline __u64 try_mounts(__u64 file_system)
{
	struct super_block *sb = (void *)file_system;
	struct file_syscall *s = syscall_of_thread();
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mnt_namespace *ns = READ(task, nsproxy, mnt_ns);
	struct dentry *root = READ(sb, s_root);
	struct mount *mnt;

	if (!s)
		return 0;
	mnt = (void *)s->mount;
	for (int i = 0; i < MOUNTS_AT_ONCE && mnt; i++) {
		if (READ(mnt, mnt_ns) == ns) {
			if (READ(mnt, mnt.mnt_root) == root)
				return (__u64)mnt;
			if (!s->fallback)
				s->fallback = (__u64)mnt;
		}
		mnt = next_mount(mnt);
	}
	s->mount = (__u64)mnt;
	return 0;
}

/* A mount of this file system in the process's mount namespace: that from which the path was looked up, if it can be;
 * 0: none. */
#define MOUNTS_TRIED 64
__noinline __u64 visible_mount(__u64 file_system)
{
	struct super_block *sb = (void *)file_system;
	struct file_syscall *s = syscall_of_thread();
	struct task_struct *task = (void *)bpf_get_current_task();
	struct vfsmount *base = NULL;
	struct file *file;
	__u64 found = 0;

	if (!s || is_pseudo(sb))
		return 0;
	if (s->asked.dfd == AT_FDCWD) {
		base = READ(task, fs, pwd.mnt);
	} else {
		file = file_of(s->asked.dfd);
		if (file)
			base = READ(file, f_path.mnt);
	}
	if (base && READ(base, mnt_sb) == sb)
		return (__u64)base;
	base = READ(task, fs, root.mnt);
	if (READ(base, mnt_sb) == sb)
		return (__u64)base;
	s->mount = (__u64)first_mount(sb);
	s->fallback = 0;
	for (int i = 0; i < MOUNTS_TRIED / MOUNTS_AT_ONCE && !found && s->mount; i++)
		found = try_mounts(file_system);
	if (!found)
		found = s->fallback;
	return found ? found + bpf_core_field_offset(struct mount, mnt) : 0;
}

static __always_inline void witness_facts(struct file_facts *f, struct witness *w)
{
	f->inode = w->ino;
	f->size = w->size;
	f->dev = w->dev;
	f->mode = w->mode;
	f->uid = w->uid;
	f->gid = w->gid;
}

/* A name that is gone: the parent, still there, and what the name was. */
static __always_inline void gone_name(struct file_facts *f, __u64 mnt, struct witness *w, const char *name)
{
	f->old_mnt = mnt;
	f->old_dentry = w->parent;
	bpf_probe_read_kernel(f->old_name, NAME_BYTES, name);
}

/* The next three look at one witness each, the `at`-th of the thread's call, for the facts of a row. Global, since they
 * stand in loops. */

static __always_inline struct witness *witness_at(struct file_syscall *s, __u64 at)
{
	opaque(at);
	return s && at < WITNESSES ? &s->witnesses[at] : NULL;
}

static __always_inline struct file_facts *facts_at(__u32 row)
{
	struct file_scratch *scratch = file_scratch_at(row);

	return scratch ? &scratch->facts : NULL;
}

__noinline int try_removed(__u32 row, __u32 at)
{
	struct file_syscall *s = syscall_of_thread();
	struct witness *w = witness_at(s, at);
	struct file_facts *f = facts_at(row);
	__u64 mnt;

	if (!w || !f || !w->inode || !w->is_new ||
	    ((w->mode & S_IFMT) == S_IFDIR) != (s->asked.kind == WIRE_FILE_RMDIR) || !is_witness(w->parent_inode))
		return 0;
	mnt = visible_mount((__u64)file_system_of(w->parent));
	if (!mnt)
		return 0;
	witness_facts(f, w);
	if (s->asked.kind == WIRE_FILE_RMDIR) { /* ext4 has set it to 0 by now */
		f->size = WIRE_NO_COUNT;
		f->missing |= WIRE_MISSING_SIZE;
	}
	gone_name(f, mnt, w, s->last[NEW_NAME]);
	return 1;
}

/* Gives the inode. */
__noinline __u64 try_renamed(__u32 row, __u32 at)
{
	struct file_syscall *s = syscall_of_thread();
	struct witness *w = witness_at(s, at);
	struct file_facts *f = facts_at(row);
	__u64 mnt, now;

	if (!w || !f || !w->inode || !w->is_old || !is_witness(w->parent_inode))
		return 0;
	mnt = visible_mount((__u64)file_system_of(w->parent));
	if (!mnt)
		return 0;
	now = entry_named(w->inode, NEW_NAME, 0);
	if (!now || (w->is_new && parent_of(now) == w->parent))
		return 0;
	inode_facts(f, (void *)w->inode);
	gone_name(f, mnt, w, s->last[OLD_NAME]);
	f->old_inode = f->inode;
	f->mnt = mnt;
	f->dentry = now;
	return w->inode;
}

/* Gives the inode. */
__noinline __u64 try_touched(__u32 row, __u32 at, __u32 in_directory)
{
	struct witness *w = witness_at(syscall_of_thread(), at);
	struct file_facts *f = facts_at(row);
	__u64 entry, mnt;

	if (!w || !f)
		return 0;
	entry = entry_named(w->inode, NEW_NAME, 0);
	if (in_directory && (!entry || !is_witness((__u64)inode_of(parent_of(entry)))))
		return 0;
	if (!entry) /* through a symbolic link, or "." */
		entry = first_entry((void *)w->inode);
	if (!entry)
		return 0;
	mnt = visible_mount((__u64)file_system_of(entry));
	if (!mnt)
		return 0;
	f->mnt = mnt;
	f->dentry = entry;
	return w->inode;
}

/* delete, rmdir: the witness that was known by the name, in a directory that is a witness, too. */
static __always_inline bool find_removed(__u32 row)
{
	for (int i = 0; i < WITNESSES; i++) {
		if (try_removed(row, i))
			return true;
	}
	return false;
}

/* rename: the witness that has another name now, and the one that had that name before in the same directory. */
static __always_inline bool find_renamed(__u32 row, struct file_syscall *s, struct file_facts *f)
{
	__u64 renamed = 0, directory;

	for (int i = 0; i < WITNESSES && !renamed; i++)
		renamed = try_renamed(row, i);
	if (!renamed)
		return false;
	directory = parent_of(f->dentry);
	for (int i = 0; i < WITNESSES; i++) {
		struct witness *w = &s->witnesses[i];

		if (w->inode && w->inode != renamed && w->is_new && w->parent == directory)
			f->overwritten = w->ino;
	}
	if (s->asked.flags & RENAME_EXCHANGE)
		f->flags |= WIRE_FILE_EXCHANGE;
	return true;
}

/* Everything else: the witness that has the name now, or that is alone. */
static __always_inline bool find_touched(__u32 row, struct file_syscall *s, struct file_facts *f,
					 const bool in_directory)
{
	__u64 best = 0;

	for (int i = 0; i < WITNESSES && s->witnesses[i].inode; i++) {
		__u64 found = try_touched(row, i, in_directory);

		if (found)
			best = found;
	}
	if (!best)
		return false;
	inode_facts(f, (void *)best);
	return true;
}

/* The other name of a file that got one more. */
static __always_inline void find_linked(struct file_facts *f)
{
	f->old_inode = f->inode;
	f->old_dentry = entry_named((__u64)inode_of(f->dentry), OLD_NAME, f->dentry);
	if (f->old_dentry)
		f->old_mnt = f->mnt;
	else
		f->missing |= WIRE_MISSING_OLD_PATH;
}

/* A link on an overlay: the kernel drops the new name at once, and the file has no new change time unless it was copied
 * up, but the directory has. */
static __always_inline bool find_linked_on_overlay(struct file_syscall *s, struct file_facts *f)
{
	__u64 directory = 0, old = 0;
	struct dentry *entry;

	for (int i = 0; i < WITNESSES; i++) {
		struct witness *w = &s->witnesses[i];

		if (!w->inode)
			break;
		if ((w->mode & S_IFMT) == S_IFDIR)
			directory = w->inode; /* the last: after what was copied up */
		else if (!old)
			old = entry_named(w->inode, OLD_NAME, 0);
	}
	f->old_dentry = directory ? first_entry((void *)directory) : 0;
	f->old_mnt = f->old_dentry ? visible_mount((__u64)file_system_of(f->old_dentry)) : 0;
	if (!f->old_mnt || !s->last[NEW_NAME][0])
		return false;
	bpf_probe_read_kernel(f->old_name, NAME_BYTES, s->last[NEW_NAME]);
	if (!old && is_same_directory())
		old = child_named(directory, OLD_NAME);
	entry = (void *)old;
	if (!old || (s->asked.flags & AT_SYMLINK_FOLLOW && (READ(entry, d_inode, i_mode) & S_IFMT) == S_IFLNK)) {
		f->missing |= WIRE_MISSING_OLD_PATH;
		inode_facts(f, NULL);
		return true;
	}
	inode_facts(f, inode_of(old));
	f->old_inode = f->inode;
	f->mnt = f->old_mnt;
	f->dentry = old;
	f->turned = 1;
	return true;
}

/* Finds what the call was about. A function of its own, verified once. The call is the thread's. */
__noinline int find_file(__u32 row)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct file_syscall *s = bpf_map_lookup_elem(&file_syscalls, &thread);
	struct file_scratch *scratch = file_scratch_at(row);
	struct file_facts *f;
	struct file *file;

	if (!s || !scratch)
		return 0;
	f = &scratch->facts;
	if (s->asked.fd >= 0) {
		file = file_of(s->asked.fd);
		if (!file)
			return 0;
		file_facts_of(f, file);
	} else if (s->asked.kind == WIRE_FILE_RENAME) {
		return find_renamed(row, s, f);
	} else if (s->asked.kind == WIRE_FILE_DELETE || s->asked.kind == WIRE_FILE_RMDIR) {
		return find_removed(row);
	} else if (s->asked.kind == WIRE_FILE_LINK && s->on_overlay) {
		return find_linked_on_overlay(s, f);
	} else {
		bool in_directory = s->asked.kind == WIRE_FILE_MKDIR || s->asked.kind == WIRE_FILE_MKNOD ||
				    s->asked.kind == WIRE_FILE_SYMLINK || s->asked.kind == WIRE_FILE_LINK;

		if (!find_touched(row, s, f, in_directory))
			return 0;
		if (s->asked.kind == WIRE_FILE_LINK)
			find_linked(f);
	}
	return 1;
}

static __always_inline int open_returns(void *ctx, __u64 flags, __s64 ret)
{
	struct file *file = file_of(ret);
	struct file_scratch *s;
	struct inode *inode;
	int row;

	if (!file)
		return 0;
	inode = READ(file, f_inode);
	if (flags & O_TRUNC_BIT && file_kind_wanted(WIRE_FILE_TRUNCATE) && !(READ(file, f_mode) & FMODE_CREATED) &&
	    (READ(inode, i_mode) & S_IFMT) == S_IFREG && !is_pseudo(READ(inode, i_sb))) {
		row = take_scratch(WIRE_FILE_TRUNCATE);
		if (row >= 0) {
			s = file_scratch_at(row);
			if (s) {
				begin_facts(&s->facts);
				file_facts_of(&s->facts, file);
				send_file(ctx, row, WIRE_FILE_TRUNCATE);
			}
			give_scratch(row);
		}
	}
	return open_ends(ctx, (__u64)file);
}

/* What is only known of a call, not of the file. */
static __always_inline void call_facts(struct file_syscall *s, struct file_facts *f)
{
	struct inode *inode;

	if (s->asked.kind == WIRE_FILE_CHMOD) {
		f->old_mode = s->old_mode;
		if (s->old_mode == WIRE_NO_ID)
			f->missing |= WIRE_MISSING_OLD_MODE;
	} else if (s->asked.kind == WIRE_FILE_CHOWN) {
		f->old_uid = s->old_uid;
		f->old_gid = s->old_gid;
		if (s->old_uid == WIRE_NO_ID)
			f->missing |= WIRE_MISSING_OLD_OWNER;
	} else if (s->asked.kind == WIRE_FILE_SYMLINK) {
		inode = inode_of(f->dentry);
		f->text = (__u64)READ(inode, i_link);
		f->user_text = s->asked.text; /* where the file system keeps it elsewhere */
	} else if (s->asked.kind == WIRE_FILE_XATTR_SET) {
		f->user_text = s->asked.text;
	}
}

static __always_inline int syscall_ends(void *ctx, __s64 ret)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct file_syscall *s = bpf_map_lookup_elem(&file_syscalls, &thread);
	struct file_scratch *scratch;
	__u64 flags;
	__u32 kind;
	int row = -1;

	if (!s)
		return 0;
	kind = s->asked.kind;
	flags = s->asked.flags;
	if (ret < 0 || kind == WIRE_FILE_OPEN_WRITE) {
		bpf_map_delete_elem(&file_syscalls, &thread);
		return ret < 0 ? 0 : open_returns(ctx, flags, ret);
	}
	if (file_kind_wanted(kind) || kind == WIRE_FILE_MKNOD)
		row = take_scratch(kind);
	scratch = row >= 0 ? file_scratch_at(row) : NULL;
	if (scratch) {
		begin_facts(&scratch->facts);
		if (find_file(row)) {
			call_facts(s, &scratch->facts);
			/* mknod makes regular files, too. */
			if (kind == WIRE_FILE_MKNOD && (scratch->facts.mode & S_IFMT) == S_IFREG)
				kind = WIRE_FILE_CREATE;
			if (file_kind_wanted(kind) && kind >= WIRE_FILE_CREATE && kind <= WIRE_FILE_UTIMES)
				send_file(ctx, row, kind);
		}
	}
	if (row >= 0)
		give_scratch(row);
	bpf_map_delete_elem(&file_syscalls, &thread);
	return 0;
}

/* ---- The hooks ---- */

/* In the slots of the calls that describe() knows (file_asked.bpf.h; syscalls.bpf.c; file_calls in
 * src/agent/programs_file.cpp). */
SEC("raw_tp/sys_enter") int file_calls_enter__calls(struct call_enters *ctx)
{
	return syscall_begins(ctx);
}
SEC("raw_tp/sys_exit") int file_calls__calls(struct call_exits *ctx)
{
	return syscall_ends(ctx, ctx->ret);
}

/* include/trace/events/timestamp.h: Linux kernel commit a80f53809ccc ("fs: tracepoints around multigrain timestamp
 * events") (in v6.13). */
SEC("tp_btf/inode_set_ctime_to_ts") int file_witness_set__timestamp(__u64 *ctx)
{
	return witnessed((void *)ctx[0]);
}
SEC("tp_btf/ctime_ns_xchg") int file_witness_changed__timestamp(__u64 *ctx)
{
	return witnessed((void *)ctx[0]);
}
SEC("tp_btf/ctime_xchg_skip") int file_witness_same__timestamp(__u64 *ctx)
{
	return witnessed((void *)ctx[0]);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
