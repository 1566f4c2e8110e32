/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* File events from the functions that do the work, entry and return. The same bodies serve fentry/fexit and
 * kprobe/kretprobe.
 *
 * The vfs_ functions know the directory entry and the result, but not the mount; who calls them for a process has
 * announced it with mnt_want_write before and takes it back with mnt_drop_write. An overlay calls the same functions
 * again for its layers, through mounts that the kernel holds for itself: those are not taken for the mount, and an
 * entry of another file system than the mount's is not reported. */
#include "file_args.bpf.h"

enum file_op {
	OP_MKDIR = 1,
	OP_RMDIR,
	OP_MKNOD,
	OP_CREATE,
	OP_SYMLINK,
	OP_LINK,
	OP_UNLINK,
	OP_RENAME,
	OP_SETATTR,
	OP_XATTR,
};

struct call_key {
	__u64 thread;
	__u64 op;
};

/* A call between its entry and its return. */
struct file_call {
	__u64 nested; /* calls of the same function within it that are none of ours */
	__u64 dentry;
	__u32 kind;
	__u32 pad0;
	struct file_facts facts;
};

/* LRU: a return that is missed costs an entry, not the family. So many threads may be in a file operation at once. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct call_key);
	__type(value, struct file_call);
} file_calls SEC(".maps");

/* The mount that a thread writes through. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} file_mounts SEC(".maps");

static const struct file_call no_call;

/* ---- The mount ---- */

static __always_inline int want_write(__u64 mnt)
{
	__u64 thread = bpf_get_current_pid_tgid();

	if (!mnt || !in_scope((void *)bpf_get_current_task(), false) || is_internal((void *)mnt))
		return 0;
	bpf_map_update_elem(&file_mounts, &thread, &mnt, BPF_ANY);
	return 0;
}

static __always_inline int drop_write(__u64 mnt)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 *known = bpf_map_lookup_elem(&file_mounts, &thread);

	if (known && *known == mnt)
		bpf_map_delete_elem(&file_mounts, &thread);
	return 0;
}

/* ---- Calls ---- */

/* Begins a call on `dentry`, through the mount that the thread announced or `mnt`. NULL: none of ours. */
static __always_inline struct file_call *begin_call(enum file_op op, __u64 dentry, __u64 mnt)
{
	struct call_key key = { .thread = bpf_get_current_pid_tgid(), .op = op };
	struct super_block *sb = READ((struct dentry *)dentry, d_sb);
	struct file_call *call;

	if (!mnt) {
		__u64 *announced = bpf_map_lookup_elem(&file_mounts, &key.thread);

		if (announced)
			mnt = *announced;
	}
	if (!mnt || READ((struct vfsmount *)mnt, mnt_sb) != sb) {
		call = bpf_map_lookup_elem(&file_calls, &key);
		if (call)
			call->nested++;
		return NULL;
	}
	if (is_pseudo(sb) || bpf_map_update_elem(&file_calls, &key, &no_call, BPF_ANY))
		return NULL;
	call = bpf_map_lookup_elem(&file_calls, &key);
	if (!call)
		return NULL;
	begin_facts(&call->facts);
	call->dentry = dentry;
	call->facts.mnt = mnt;
	call->facts.dentry = dentry;
	return call;
}

static __always_inline void forget_call(enum file_op op)
{
	struct call_key key = { .thread = bpf_get_current_pid_tgid(), .op = op };

	bpf_map_delete_elem(&file_calls, &key);
}

/* The call that returns now, in a row of the pool; -1: none of ours, or it failed. */
static __always_inline int end_call(enum file_op op, __u64 ret)
{
	struct call_key key = { .thread = bpf_get_current_pid_tgid(), .op = op };
	struct file_call *call = bpf_map_lookup_elem(&file_calls, &key);
	struct file_scratch *s;
	int row;

	if (!call)
		return -1;
	if (call->nested) {
		call->nested--;
		return -1;
	}
	row = has_failed(ret) ? -1 : take_scratch(call->kind);
	if (row >= 0) {
		s = file_scratch_at(row);
		if (s)
			bpf_probe_read_kernel(&s->facts, sizeof(s->facts), &call->facts);
	}
	bpf_map_delete_elem(&file_calls, &key);
	return row;
}

/* Sends what a call made: the file is there only now. */
static __always_inline int end_making(void *ctx, enum file_op op, __u32 kind, __u64 ret)
{
	int row = end_call(op, ret);
	struct file_scratch *s;

	if (row < 0)
		return 0;
	s = file_scratch_at(row);
	if (s) {
		inode_facts(&s->facts, inode_of(s->facts.dentry));
		send_file(ctx, row, kind);
	}
	give_scratch(row);
	return 0;
}

/* Sends what a call took away: everything was read before. */
static __always_inline int end_taking(void *ctx, enum file_op op, __u32 kind, __u64 ret)
{
	int row = end_call(op, ret);

	if (row < 0)
		return 0;
	send_file(ctx, row, kind);
	give_scratch(row);
	return 0;
}

static __always_inline int make_begins(enum file_op op, __u32 kind, __u64 dentry, __u64 text)
{
	struct file_call *call;

	if (!file_kind_wanted(kind))
		return 0;
	call = begin_call(op, dentry, 0);
	if (!call)
		return 0;
	call->kind = kind;
	call->facts.text = text;
	return 0;
}

static __always_inline int take_begins(enum file_op op, __u32 kind, __u64 dentry)
{
	struct file_call *call;

	if (!file_kind_wanted(kind))
		return 0;
	call = begin_call(op, dentry, 0);
	if (!call)
		return 0;
	call->kind = kind;
	/* Before: xfs clears the mode when it removes the last name, and the entry loses its inode. */
	inode_facts(&call->facts, inode_of(dentry));
	return 0;
}

static __always_inline int link_begins(__u64 old, __u64 new)
{
	struct file_call *call;

	if (!file_kind_wanted(WIRE_FILE_LINK))
		return 0;
	call = begin_call(OP_LINK, new, 0);
	if (!call)
		return 0;
	call->kind = WIRE_FILE_LINK;
	call->facts.old_mnt = call->facts.mnt; /* a link does not cross mounts */
	call->facts.old_dentry = old;
	call->facts.old_inode = READ((struct dentry *)old, d_inode, i_ino);
	return 0;
}

static __always_inline int rename_begins(__u64 old_dentry, __u64 new_dentry, __u32 flags)
{
	struct dentry *old = (void *)old_dentry, *new = (void *)new_dentry;
	struct inode *source, *target;
	struct file_call *call;

	if (!file_kind_wanted(WIRE_FILE_RENAME))
		return 0;
	source = READ(old, d_inode);
	target = READ(new, d_inode);
	call = begin_call(OP_RENAME, old_dentry, 0);
	if (!call)
		return 0;
	if (source == target) { /* two names of one file: rename(2) does nothing, and succeeds */
		forget_call(OP_RENAME);
		return 0;
	}
	call->kind = WIRE_FILE_RENAME;
	inode_facts(&call->facts, source);
	call->facts.old_inode = call->facts.inode;
	if (target)
		call->facts.overwritten = READ(target, i_ino);
	if (flags & RENAME_EXCHANGE)
		call->facts.flags |= WIRE_FILE_EXCHANGE;
	/* After the rename `old` has the new name and parent. */
	call->facts.old_mnt = call->facts.mnt;
	call->facts.old_dentry = (__u64)READ(old, d_parent);
	bpf_probe_read_kernel_str(call->facts.old_name, NAME_BYTES, READ(old, d_name.name));
	return 0;
}

static __always_inline int setattr_begins(__u64 dentry, __u64 attributes)
{
	struct iattr *attr = (void *)attributes;
	__u32 valid = READ(attr, ia_valid);
	struct file_call *call;
	struct file_facts *f;
	__u64 mnt = 0;
	__u32 kind = setattr_kind(valid);

	if (!kind || !file_kind_wanted(kind) || !in_scope((void *)bpf_get_current_task(), false))
		return 0;
	/* ftruncate announces no mount: the file has it. */
	if (valid & ATTR_FILE) {
		__u64 file = (__u64)READ(attr, ia_file);

		if (file)
			mnt = mount_of_file((struct file *)file);
		if (mnt && is_internal((void *)mnt))
			mnt = 0;
	}
	call = begin_call(OP_SETATTR, dentry, mnt);
	if (!call)
		return 0;
	f = &call->facts;
	call->kind = kind;
	inode_facts(f, inode_of(dentry));
	if (kind == WIRE_FILE_CHMOD) {
		f->old_mode = f->mode;
	} else if (kind == WIRE_FILE_CHOWN) {
		f->old_uid = f->uid;
		f->old_gid = f->gid;
		f->old_mode = f->mode; /* chown clears set-user-id bits */
	}
	return 0;
}

static __always_inline int setattr_ends(void *ctx, __u64 ret)
{
	struct call_key key = { .thread = bpf_get_current_pid_tgid(), .op = OP_SETATTR };
	struct file_call *call = bpf_map_lookup_elem(&file_calls, &key);
	struct file_scratch *s;
	__u32 kind;
	int row;

	if (!call)
		return 0;
	kind = call->kind;
	row = end_call(OP_SETATTR, ret);
	if (row < 0)
		return 0;
	s = file_scratch_at(row);
	if (s) {
		struct dentry *dentry = (void *)s->facts.dentry;

		inode_facts(&s->facts, READ(dentry, d_inode));
		deleted_fact(&s->facts, dentry);
		if (s->facts.old_mode == s->facts.mode && kind == WIRE_FILE_CHOWN)
			s->facts.old_mode = WIRE_NO_ID;
		if (kind >= WIRE_FILE_CHMOD && kind <= WIRE_FILE_UTIMES)
			send_file(ctx, row, kind);
	}
	give_scratch(row);
	return 0;
}

/* ---- The hooks ---- */

/* Arguments of vfs_ functions, which begin with an id mapping or not. Two loads at constant offsets: the verifier takes
 * no other, so the compiler must not merge them. */
#define AFTER_IDMAP(load, n)                                        \
	({                                                          \
		__u64 arg_;                                         \
		if (vfs_takes_idmap()) {                            \
			arg_ = load((n) + 1);                       \
			opaque(arg_);                               \
		} else {                                            \
			arg_ = load(n);                             \
			asm volatile("" : "+r"(arg_) : : "memory"); \
		}                                                   \
		arg_;                                               \
	})

#define FENTRY_ARG(n) (ctx[n])

/* What a traced function returns: where it stands depends on the number of arguments, which has changed often. Older
 * kernels have no helper for it, and there the number is `n`, plus the id mapping.
 * Linux kernel commit f92c1e183604 ("bpf: Add get_func_[arg|ret|arg_cnt] helpers") (in v5.17). */
#define FEXIT_RET(n)                                                                                       \
	({                                                                                                 \
		__u64 ret_ = (__u64) - 1;                                                                  \
		if (bpf_core_enum_value_exists(enum bpf_func_id___asked, BPF_FUNC_get_func_ret___asked)) { \
			bpf_get_func_ret(ctx, &ret_);                                                      \
		} else {                                                                                   \
			ret_ = AFTER_IDMAP(FENTRY_ARG, n);                                                 \
		}                                                                                          \
		ret_;                                                                                      \
	})

/* One program at the entry of a function and one at its return, for each tier. */
#define ENTRY(stem, function, with_fentry, with_kprobe)                       \
	SEC("fentry/" function) int stem##_enter__fentry(__u64 *ctx)          \
	{                                                                     \
		return with_fentry;                                           \
	}                                                                     \
	SEC("kprobe/" function) int stem##_enter__kprobe(struct pt_regs *ctx) \
	{                                                                     \
		return with_kprobe;                                           \
	}
#define RETURN(stem, function, arguments, body)                               \
	SEC("fexit/" function) int stem##__fexit(__u64 *ctx)                  \
	{                                                                     \
		__u64 ret = FEXIT_RET(arguments);                             \
		return body;                                                  \
	}                                                                     \
	SEC("kretprobe/" function) int stem##__kretprobe(struct pt_regs *ctx) \
	{                                                                     \
		__u64 ret = PT_REGS_RC(ctx);                                  \
		return body;                                                  \
	}

ENTRY(file_mount, "mnt_want_write", want_write(ctx[0]), want_write(PT_REGS_PARM1(ctx)))
ENTRY(file_mount_of, "mnt_want_write_file", want_write(mount_of_file((struct file *)ctx[0])),
      want_write(mount_of_file((struct file *)PT_REGS_PARM1(ctx))))
ENTRY(file_unmount, "mnt_drop_write", drop_write(ctx[0]), drop_write(PT_REGS_PARM1(ctx)))
ENTRY(file_unmount_of, "mnt_drop_write_file", drop_write(mount_of_file((struct file *)ctx[0])),
      drop_write(mount_of_file((struct file *)PT_REGS_PARM1(ctx))))

ENTRY(file_mkdir, "vfs_mkdir", make_begins(OP_MKDIR, WIRE_FILE_MKDIR, AFTER_IDMAP(FENTRY_ARG, 1), 0),
      make_begins(OP_MKDIR, WIRE_FILE_MKDIR, PROBE_AFTER_IDMAP(PROBE_ARG_1, PROBE_ARG_2), 0))
RETURN(file_mkdir, "vfs_mkdir", 3, end_making(ctx, OP_MKDIR, WIRE_FILE_MKDIR, ret))

ENTRY(file_mknod, "vfs_mknod", make_begins(OP_MKNOD, WIRE_FILE_MKNOD, AFTER_IDMAP(FENTRY_ARG, 1), 0),
      make_begins(OP_MKNOD, WIRE_FILE_MKNOD, PROBE_AFTER_IDMAP(PROBE_ARG_1, PROBE_ARG_2), 0))
RETURN(file_mknod, "vfs_mknod", 4, end_making(ctx, OP_MKNOD, WIRE_FILE_MKNOD, ret))

/* mknod(2) of a regular file. The directory's inode is no argument any more in v7.3: then the mode, a small number,
 * stands where the entry was. */
static __always_inline int create_begins(__u64 second, __u64 third)
{
	return make_begins(OP_CREATE, WIRE_FILE_CREATE, third <= 0xffff ? second : third, 0);
}
ENTRY(file_create, "vfs_create", create_begins(ctx[1], AFTER_IDMAP(FENTRY_ARG, 1)),
      create_begins(PROBE_ARG_1, PROBE_AFTER_IDMAP(PROBE_ARG_1, PROBE_ARG_2)))
RETURN(file_create, "vfs_create", 4, end_making(ctx, OP_CREATE, WIRE_FILE_CREATE, ret))

ENTRY(file_symlink, "vfs_symlink",
      make_begins(OP_SYMLINK, WIRE_FILE_SYMLINK, AFTER_IDMAP(FENTRY_ARG, 1), AFTER_IDMAP(FENTRY_ARG, 2)),
      make_begins(OP_SYMLINK, WIRE_FILE_SYMLINK, PROBE_AFTER_IDMAP(PROBE_ARG_1, PROBE_ARG_2),
		  PROBE_AFTER_IDMAP(PROBE_ARG_2, PROBE_ARG_3)))
RETURN(file_symlink, "vfs_symlink", 3, end_making(ctx, OP_SYMLINK, WIRE_FILE_SYMLINK, ret))

ENTRY(file_link, "vfs_link", link_begins(ctx[0], AFTER_IDMAP(FENTRY_ARG, 2)),
      link_begins(PROBE_ARG_0, PROBE_AFTER_IDMAP(PROBE_ARG_2, PROBE_ARG_3)))
RETURN(file_link, "vfs_link", 4, end_making(ctx, OP_LINK, WIRE_FILE_LINK, ret))

ENTRY(file_delete, "vfs_unlink", take_begins(OP_UNLINK, WIRE_FILE_DELETE, AFTER_IDMAP(FENTRY_ARG, 1)),
      take_begins(OP_UNLINK, WIRE_FILE_DELETE, PROBE_AFTER_IDMAP(PROBE_ARG_1, PROBE_ARG_2)))
RETURN(file_delete, "vfs_unlink", 3, end_taking(ctx, OP_UNLINK, WIRE_FILE_DELETE, ret))

/* vfs_rmdir is inlined into do_rmdir by some compilers (Debian's 5.10), and then called only by file systems upon
 * others. What it asks the security modules is never inlined; its end is the end of whichever of the two returns. */
SEC("fentry/security_inode_rmdir") int file_rmdir_enter__fentry(__u64 *ctx)
{
	return take_begins(OP_RMDIR, WIRE_FILE_RMDIR, ctx[1]);
}
SEC("kprobe/security_inode_rmdir") int file_rmdir_enter__kprobe(struct pt_regs *ctx)
{
	return take_begins(OP_RMDIR, WIRE_FILE_RMDIR, PT_REGS_PARM2(ctx));
}
RETURN(file_rmdir, "vfs_rmdir", 2, end_taking(ctx, OP_RMDIR, WIRE_FILE_RMDIR, ret))
/* do_rmdir(dfd, name): filename_rmdir in v7.2. */
SEC("fexit/do_rmdir") int file_rmdir__outer_fexit_more(__u64 *ctx)
{
	return end_taking(ctx, OP_RMDIR, WIRE_FILE_RMDIR, ctx[2]);
}
SEC("kretprobe/do_rmdir") int file_rmdir__outer_kretprobe_more(struct pt_regs *ctx)
{
	return end_taking(ctx, OP_RMDIR, WIRE_FILE_RMDIR, PT_REGS_RC(ctx));
}
/* Kernels without security modules. */
SEC("fentry/vfs_rmdir") int file_rmdir_enter__vfs_fentry(__u64 *ctx)
{
	return take_begins(OP_RMDIR, WIRE_FILE_RMDIR, AFTER_IDMAP(FENTRY_ARG, 1));
}
SEC("kprobe/vfs_rmdir") int file_rmdir_enter__vfs_kprobe(struct pt_regs *ctx)
{
	return take_begins(OP_RMDIR, WIRE_FILE_RMDIR, PROBE_AFTER_IDMAP(PROBE_ARG_1, PROBE_ARG_2));
}

static __always_inline int rename_begins_with(__u64 renamedata)
{
	struct renamedata *rd = (void *)renamedata;

	return rename_begins((__u64)READ(rd, old_dentry), (__u64)READ(rd, new_dentry), READ(rd, flags));
}
SEC("fentry/vfs_rename") int file_rename_enter__fentry(__u64 *ctx)
{
	if (HAS_RENAMEDATA)
		return rename_begins_with(ctx[0]);
	return rename_begins(ctx[1], ctx[3], ctx[5]);
}
SEC("kprobe/vfs_rename") int file_rename_enter__kprobe(struct pt_regs *ctx)
{
	__u64 first = PT_REGS_PARM1(ctx);

	opaque(first);
	if (HAS_RENAMEDATA)
		return rename_begins_with(first);
	return rename_begins(PT_REGS_PARM2(ctx), PT_REGS_PARM4(ctx), PT_REGS_PARM6(ctx));
}
SEC("fexit/vfs_rename") int file_rename__fexit(__u64 *ctx)
{
	__u64 ret = (__u64)-1;

	if (HAS_RENAMEDATA) {
		ret = ctx[1];
		opaque(ret); /* or the two are one access with a computed offset, which the verifier refuses */
	} else {
		ret = ctx[6];
	}
	return end_taking(ctx, OP_RENAME, WIRE_FILE_RENAME, ret);
}
SEC("kretprobe/vfs_rename") int file_rename__kretprobe(struct pt_regs *ctx)
{
	return end_taking(ctx, OP_RENAME, WIRE_FILE_RENAME, PT_REGS_RC(ctx));
}

ENTRY(file_setattr, "notify_change", setattr_begins(AFTER_IDMAP(FENTRY_ARG, 0), AFTER_IDMAP(FENTRY_ARG, 1)),
      setattr_begins(PROBE_AFTER_IDMAP(PROBE_ARG_0, PROBE_ARG_1), PROBE_AFTER_IDMAP(PROBE_ARG_1, PROBE_ARG_2)))
RETURN(file_setattr, "notify_change", 3, setattr_ends(ctx, ret))

ENTRY(file_xattr_set, "vfs_setxattr",
      make_begins(OP_XATTR, WIRE_FILE_XATTR_SET, AFTER_IDMAP(FENTRY_ARG, 0), AFTER_IDMAP(FENTRY_ARG, 1)),
      make_begins(OP_XATTR, WIRE_FILE_XATTR_SET, PROBE_AFTER_IDMAP(PROBE_ARG_0, PROBE_ARG_1),
		  PROBE_AFTER_IDMAP(PROBE_ARG_1, PROBE_ARG_2)))
RETURN(file_xattr_set, "vfs_setxattr", 5, end_making(ctx, OP_XATTR, WIRE_FILE_XATTR_SET, ret))
/* Access control lists go their own way since Linux kernel commit 318e66856dde ("xattr: use posix acl api") (in v6.2).
 */
ENTRY(file_acl_set, "vfs_set_acl", make_begins(OP_XATTR, WIRE_FILE_XATTR_SET, ctx[1], ctx[2]),
      make_begins(OP_XATTR, WIRE_FILE_XATTR_SET, PROBE_ARG_1, PROBE_ARG_2))
RETURN(file_acl_set, "vfs_set_acl", 4, end_making(ctx, OP_XATTR, WIRE_FILE_XATTR_SET, ret))

/* Every way to open by a path: open, openat, openat2, creat, io_uring. do_file_open in v7.3. */
SEC("fexit/do_filp_open") int file_open__fexit(__u64 *ctx)
{
	return open_ends(ctx, ctx[3]);
}
SEC("kretprobe/do_filp_open") int file_open__kretprobe(struct pt_regs *ctx)
{
	return open_ends(ctx, PT_REGS_RC(ctx));
}
/* open_by_handle_at */
SEC("kretprobe/do_file_open_root") int file_open_root__kretprobe(struct pt_regs *ctx)
{
	return open_ends(ctx, PT_REGS_RC(ctx));
}
SEC("fexit/do_file_open_root") int file_open_root__fexit(__u64 *ctx)
{
	__u64 ret = (__u64)-1;

	if (bpf_core_enum_value_exists(enum bpf_func_id___asked, BPF_FUNC_get_func_ret___asked))
		bpf_get_func_ret(ctx, &ret);
	else if (!vfs_takes_idmap())
		ret = ctx[4];
	return open_ends(ctx, ret);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
