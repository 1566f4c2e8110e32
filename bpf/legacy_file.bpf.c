/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The legacy tier: files. As file.bpf.c, with what is kept between entry and return small enough for the stack, where
 * 4.14 wants it, and the record made by a chain of programs (legacy_path.bpf.h). */
#define NIGHTJAR_LEGACY
#include "file_args.bpf.h"
#include "legacy_path.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, LEGACY_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} legacy_file_calls SEC(".maps");

enum legacy_op { OP_CREATE = 1, OP_UNLINK, OP_RENAME, OP_SETATTR };

struct legacy_call_key {
	__u64 thread;
	__u64 op;
};

/* struct file_facts without the name at its end. */
#define FACTS_BYTES __builtin_offsetof(struct file_facts, old_name)
struct legacy_call {
	__u64 nested; /* calls of the same function within it that are none of ours */
	__u64 kind;
	__u8 facts[FACTS_BYTES];
};

/* LRU, all: a return that is missed costs an entry. So many threads may be in a file operation at once. */
#define LEGACY_LRU(name, key_type, value_type)       \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_LRU_HASH); \
		__uint(max_entries, 8192);           \
		__type(key, key_type);               \
		__type(value, value_type);           \
	} name SEC(".maps")
struct legacy_name {
	char bytes[NAME_BYTES];
};
LEGACY_LRU(legacy_calls, struct legacy_call_key, struct legacy_call);
LEGACY_LRU(legacy_old_names, __u64, struct legacy_name);
LEGACY_LRU(legacy_mounts, __u64, __u64);  /* the mount that a thread writes through */
LEGACY_LRU(legacy_created, __u64, __u64); /* the entry that a thread's open is about to create */

/* ---- Entry ---- */

static __always_inline int want_write(__u64 mnt)
{
	__u64 thread = bpf_get_current_pid_tgid();

	if (mnt && in_scope((void *)bpf_get_current_task(), false) && !is_internal((void *)mnt))
		bpf_map_update_elem(&legacy_mounts, &thread, &mnt, BPF_ANY);
	return 0;
}

/* Begins the facts of a call on `dentry`, through the mount that the thread announced or `mnt`. NULL: none of ours. */
static __always_inline struct legacy_work *begin_legacy(enum legacy_op op, __u64 dentry, __u64 mnt)
{
	struct legacy_call_key key = { .thread = bpf_get_current_pid_tgid(), .op = op };
	struct legacy_work *w = legacy_work();
	struct super_block *sb = file_system_of(dentry);
	__u64 *announced = bpf_map_lookup_elem(&legacy_mounts, &key.thread);

	if (!mnt && announced)
		mnt = *announced;
	if (!mnt || READ((struct vfsmount *)mnt, mnt_sb) != sb) {
		struct legacy_call *call = bpf_map_lookup_elem(&legacy_calls, &key);

		if (call)
			call->nested++;
		return NULL;
	}
	if (!w || is_pseudo(sb))
		return NULL;
	begin_facts(&w->facts);
	w->facts.mnt = mnt;
	w->facts.dentry = dentry;
	return w;
}

static __always_inline void keep_legacy(enum legacy_op op, __u32 kind, struct legacy_work *w)
{
	struct legacy_call_key key = { .thread = bpf_get_current_pid_tgid(), .op = op };
	struct legacy_call call = { .kind = kind };

	bpf_probe_read(call.facts, FACTS_BYTES, &w->facts);
	bpf_map_update_elem(&legacy_calls, &key, &call, BPF_ANY);
}

static __always_inline int begin_simple(enum legacy_op op, __u32 kind, __u64 dentry)
{
	struct legacy_work *w;

	if (!file_kind_wanted(kind))
		return 0;
	w = begin_legacy(op, dentry, 0);
	if (!w)
		return 0;
	/* Of what is there: xfs clears the mode when it removes the last name, and the entry loses its inode. */
	if (op == OP_UNLINK)
		inode_facts(&w->facts, inode_of(dentry));
	keep_legacy(op, kind, w);
	return 0;
}

static __always_inline int begin_rename(__u64 old_dentry, __u64 new_dentry, __u32 flags)
{
	struct dentry *old = (void *)old_dentry;
	struct inode *source = inode_of(old_dentry), *target = inode_of(new_dentry);
	__u64 thread = bpf_get_current_pid_tgid();
	struct legacy_name zero = {}, *name;
	struct legacy_work *w;

	if (!file_kind_wanted(WIRE_FILE_RENAME))
		return 0;
	w = begin_legacy(OP_RENAME, old_dentry, 0);
	/* Two names of one file: rename(2) does nothing, and succeeds. */
	if (!w || source == target)
		return 0;
	inode_facts(&w->facts, source);
	w->facts.old_inode = w->facts.inode;
	if (target)
		w->facts.overwritten = READ(target, i_ino);
	if (flags & RENAME_EXCHANGE)
		w->facts.flags |= WIRE_FILE_EXCHANGE;
	/* After the rename `old` has the new name and parent. */
	w->facts.old_mnt = w->facts.mnt;
	w->facts.old_dentry = (__u64)READ(old, d_parent);
	bpf_map_update_elem(&legacy_old_names, &thread, &zero, BPF_ANY);
	name = bpf_map_lookup_elem(&legacy_old_names, &thread);
	if (name)
		bpf_probe_read_str(name->bytes, NAME_BYTES, READ(old, d_name.name));
	keep_legacy(OP_RENAME, WIRE_FILE_RENAME, w);
	return 0;
}

static __always_inline int begin_setattr(__u64 dentry, __u64 attributes)
{
	struct iattr *attr = (void *)attributes;
	__u32 valid = READ(attr, ia_valid);
	__u32 kind = setattr_kind(valid);
	struct legacy_work *w;
	__u64 mnt = 0;

	if (!kind || !file_kind_wanted(kind) || !in_scope((void *)bpf_get_current_task(), false))
		return 0;
	/* ftruncate announces no mount: the file has it. */
	if (valid & ATTR_FILE)
		mnt = mount_of_file(READ(attr, ia_file));
	if (mnt && is_internal((void *)mnt))
		mnt = 0;
	w = begin_legacy(OP_SETATTR, dentry, mnt);
	if (!w)
		return 0;
	inode_facts(&w->facts, inode_of(dentry));
	if (kind == WIRE_FILE_CHMOD || kind == WIRE_FILE_CHOWN)
		w->facts.old_mode = w->facts.mode; /* chown clears set-user-id bits */
	if (kind == WIRE_FILE_CHOWN) {
		w->facts.old_uid = w->facts.uid;
		w->facts.old_gid = w->facts.gid;
	}
	keep_legacy(OP_SETATTR, kind, w);
	return 0;
}

/* ---- Return ---- */

/* The call that returns now; NULL: none of ours, or it failed. */
static __always_inline struct legacy_work *end_legacy(enum legacy_op op, __u64 ret)
{
	struct legacy_call_key key = { .thread = bpf_get_current_pid_tgid(), .op = op };
	struct legacy_call *call = bpf_map_lookup_elem(&legacy_calls, &key);
	struct legacy_work *w = legacy_work();

	if (!call || !w)
		return NULL;
	if (call->nested) {
		call->nested--;
		return NULL;
	}
	w->kind = call->kind;
	w->facts.old_name[0] = 0;
	bpf_probe_read(&w->facts, FACTS_BYTES, call->facts);
	bpf_map_delete_elem(&legacy_calls, &key);
	return has_failed(ret) ? NULL : w;
}

/* Goes on with the paths; what was read before is in w->facts. */
static __always_inline int tell_file(void *ctx, struct legacy_work *w)
{
	legacy_walk(ctx, &legacy_file_calls, w, (void *)w->facts.mnt, (void *)w->facts.dentry, 0,
		    w->facts.old_dentry ? LEGACY_NEXT : LEGACY_LAST);
	return 0;
}

static __always_inline int end_simple(void *ctx, enum legacy_op op, __u64 ret)
{
	struct legacy_work *w = end_legacy(op, ret);

	if (!w)
		return 0;
	if (op == OP_CREATE)
		inode_facts(&w->facts, inode_of(w->facts.dentry));
	return tell_file(ctx, w);
}

static __always_inline int end_setattr(void *ctx, __u64 ret)
{
	struct legacy_work *w = end_legacy(OP_SETATTR, ret);

	if (!w)
		return 0;
	inode_facts(&w->facts, inode_of(w->facts.dentry));
	deleted_fact(&w->facts, (void *)w->facts.dentry);
	if (w->facts.old_mode == w->facts.mode && w->kind == WIRE_FILE_CHOWN)
		w->facts.old_mode = WIRE_NO_ID;
	return tell_file(ctx, w);
}

static __always_inline int end_open(void *ctx, __u64 ret)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 *noted = bpf_map_lookup_elem(&legacy_created, &thread);
	struct legacy_work *w = legacy_work();
	struct file *file = (void *)ret;
	__u64 created = 0;

	if (noted) {
		created = *noted;
		bpf_map_delete_elem(&legacy_created, &thread);
	}
	if (!w || !ret || is_error_pointer(ret) || !in_scope((void *)bpf_get_current_task(), false))
		return 0;
	w->kind = open_kind(file, created && created == (__u64)READ(file, f_path.dentry));
	if (!w->kind)
		return 0;
	begin_facts(&w->facts);
	w->facts.open_flags = READ(file, f_flags);
	file_facts_of(&w->facts, file);
	return tell_file(ctx, w);
}

/* ---- The chain ---- */

SEC("kprobe")
int file_chain_walk__legacy(struct pt_regs *ctx)
{
	return legacy_stride(ctx, &legacy_file_calls);
}

/* The path is there; the old one follows. */
SEC("kprobe")
int file_chain_next__legacy(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct legacy_name *name = bpf_map_lookup_elem(&legacy_old_names, &thread);
	struct legacy_work *w = legacy_work();
	struct file_event *rec;
	__u64 at, n;

	if (!w)
		return 0;
	rec = legacy_record(w, struct file_event);
	at = legacy_path(w, &rec->path, sizeof(*rec), &w->facts.missing, WIRE_MISSING_PATH, WIRE_CUT_PATH);
	rec->old_path.off = sizeof(*rec) + at;
	opaque(at);
	if (at > LEGACY_PATH_END)
		return 0;
	n = name ? bpf_probe_read_str(w->tail + at, NAME_BYTES, name->bytes) : 0;
	opaque(n);
	if (n <= NAME_BYTES)
		at += n;
	rec->old_path.len = n;
	legacy_walk(ctx, &legacy_file_calls, w, (void *)w->facts.old_mnt, (void *)w->facts.old_dentry, at, LEGACY_LAST);
	return 0;
}

SEC("kprobe")
int file_chain_last__legacy(struct pt_regs *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct legacy_work *w = legacy_work();
	struct wire_slice slice = {};
	struct file_event *rec;
	__u64 at;

	if (!w)
		return 0;
	rec = legacy_record(w, struct file_event);
	if (w->facts.old_dentry) {
		at = legacy_path(w, &slice, 0, &w->facts.missing, WIRE_MISSING_OLD_PATH, WIRE_CUT_OLD_PATH);
		if (slice.len == 1 && rec->old_path.len) { /* the root's own, empty component */
			at--;
			slice.len = 0;
		}
		rec->old_path.len += slice.len;
	} else {
		at = legacy_path(w, &rec->path, sizeof(*rec), &w->facts.missing, WIRE_MISSING_PATH, WIRE_CUT_PATH);
		rec->old_path.off = rec->old_path.len = 0;
	}
	if (!begin_record(&rec->hdr, w->kind))
		return 0;
	rec->hdr.incomplete = w->facts.missing;
	rec->flags = w->facts.flags;
	if (namespace_of(w->facts.mnt) != READ(task, nsproxy, mnt_ns))
		rec->flags |= WIRE_FILE_UNREACHABLE;
	rec->pad0 = 0;
	__builtin_memset(&rec->target, 0, 2 * sizeof(rec->target));
	put_file_facts(rec, &w->facts);
	fill_task(&rec->task, task, false);
	fill_cgroup(ctx, &rec->hdr, &rec->task, task);
	opaque(at);
	if (at > LEGACY_TAIL)
		at = LEGACY_TAIL;
	send_record(ctx, &activity, &rec->hdr, sizeof(*rec) + at);
	return 0;
}

/* ---- The hooks ---- */

#define AT(function, name, expression)                        \
	SEC("kprobe/" function) int name(struct pt_regs *ctx) \
	{                                                     \
		return expression;                            \
	}
#define AT_RETURN(function, name, expression)                    \
	SEC("kretprobe/" function) int name(struct pt_regs *ctx) \
	{                                                        \
		return expression;                               \
	}

AT("mnt_want_write", file_mount_enter__legacy, want_write(PT_REGS_PARM1(ctx)))
AT("mnt_want_write_file", file_mount_of_enter__legacy, want_write(mount_of_file((void *)PT_REGS_PARM1(ctx))))

/* security_inode_create(dir, dentry, mode): an open is about to create the file. Kernels before 4.19 tell it nowhere
 * else: the open file has no FMODE_CREATED there. */
static __always_inline int creates(__u64 dentry)
{
	__u64 thread = bpf_get_current_pid_tgid();

	if (in_scope((void *)bpf_get_current_task(), false))
		bpf_map_update_elem(&legacy_created, &thread, &dentry, BPF_ANY);
	return 0;
}
AT("security_inode_create", file_open_enter__legacy, creates(PT_REGS_PARM2(ctx)))
AT_RETURN("do_filp_open", file_open__legacy, end_open(ctx, PT_REGS_RC(ctx)))

/* mknod(2) of a regular file. The directory is no argument any more in v7.3: then the mode, a small number, stands
 * where the entry was. */
static __always_inline int begin_create(__u64 second, __u64 third)
{
	return begin_simple(OP_CREATE, WIRE_FILE_CREATE, third <= 0xffff ? second : third);
}
AT("vfs_create", file_create_enter__legacy,
   begin_create(PT_REGS_PARM2(ctx), PROBE_AFTER_IDMAP(PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx))))
AT_RETURN("vfs_create", file_create__legacy, end_simple(ctx, OP_CREATE, PT_REGS_RC(ctx)))

AT("vfs_unlink", file_delete_enter__legacy,
   begin_simple(OP_UNLINK, WIRE_FILE_DELETE, PROBE_AFTER_IDMAP(PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx))))
AT_RETURN("vfs_unlink", file_delete__legacy, end_simple(ctx, OP_UNLINK, PT_REGS_RC(ctx)))

SEC("kprobe/vfs_rename") int file_rename_enter__legacy(struct pt_regs *ctx)
{
	struct renamedata *rd = (void *)PT_REGS_PARM1(ctx);
	__u64 old = PT_REGS_PARM2(ctx), new = PT_REGS_PARM4(ctx);
	__u32 flags = PT_REGS_PARM6(ctx);

	if (HAS_RENAMEDATA) {
		old = (__u64)READ(rd, old_dentry);
		new = (__u64)READ(rd, new_dentry);
		flags = READ(rd, flags);
	}
	return begin_rename(old, new, flags);
}
AT_RETURN("vfs_rename", file_rename__legacy, end_simple(ctx, OP_RENAME, PT_REGS_RC(ctx)))

AT("notify_change", file_setattr_enter__legacy,
   begin_setattr(PROBE_AFTER_IDMAP(PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx)),
		 PROBE_AFTER_IDMAP(PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx))))
AT_RETURN("notify_change", file_setattr__legacy, end_setattr(ctx, PT_REGS_RC(ctx)))

char LICENSE[] SEC("license") = "Dual BSD/GPL";
