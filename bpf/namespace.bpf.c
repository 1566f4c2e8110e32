/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* unshare, setns, mounts and roots. Each is told once it is done, by what the kernel resolved. */
#include "namespace_change.bpf.h"
#include "part.bpf.h"
#include "slots.bpf.h"

/* include/uapi/linux/mount.h */
#define MS_BIND 4096
#define MS_MOVE 8192
#define MS_MGC_VAL 0xC0ED0000
#define MS_MGC_MSK 0xffff0000

/* ---- unshare and setns ---- */

#define UNSHARE_BEGINS(ARG) change_begins(WIRE_UNSHARE, ARG(0))
#define UNSHARE_ENDS(ret) change_ends(ctx, WIRE_UNSHARE, ret)
ON_BOTH(namespace_unshare, , ksys_unshare, 1, UNSHARE_BEGINS, UNSHARE_ENDS)

#define SETNS_BEGINS(ARG) change_begins(WIRE_SETNS, (__u32)SYSCALL_PARM2(ARG(0)))
#define SETNS_ENDS(ret) change_ends(ctx, WIRE_SETNS, ret)
ON_BOTH(namespace_setns, , __x64_sys_setns, 1, SETNS_BEGINS, SETNS_ENDS)
#if defined(__TARGET_ARCH_x86)
#define SETNS_BEGINS_32(ARG) change_begins(WIRE_SETNS, (__u32)COMPAT_PARM2(ARG(0)))
ON_BOTH(namespace_setns, 32, __ia32_sys_setns, 1, SETNS_BEGINS_32, SETNS_ENDS)
#endif

SEC("raw_tp/syscalls/sys_enter_unshare")
int namespace_unshare__enter(struct call_enters *ctx)
{
	change_begins(WIRE_UNSHARE, SYSCALL_PARM1(ctx->registers));
	return next_at_entry(ctx);
}

SEC("raw_tp/syscalls/sys_exit_unshare")
int namespace_unshare__exit(struct call_exits *ctx)
{
	change_ends(ctx, WIRE_UNSHARE, ctx->ret);
	return next_at_end(ctx);
}

SEC("raw_tp/syscalls/sys_enter_setns")
int namespace_setns__enter(struct call_enters *ctx)
{
	change_begins(WIRE_SETNS, (__u32)SYSCALL_PARM2(ctx->registers));
	return next_at_entry(ctx);
}

SEC("raw_tp/syscalls/sys_exit_setns")
int namespace_setns__exit(struct call_exits *ctx)
{
	change_ends(ctx, WIRE_SETNS, ctx->ret);
	return next_at_end(ctx);
}

/* ---- Mounts ---- */

static __always_inline bool is_relative(struct pool_row *row, __u64 at, __u32 len)
{
	opaque(at);
	return len > 1 && at < POOL_TAIL && row->tail[at] != '/';
}

static __always_inline __u64 mount_flags(__u64 flags)
{
	return (flags & MS_MGC_MSK) == MS_MGC_VAL ? flags & ~(__u64)MS_MGC_MSK : flags;
}

/* A path of the kernel's, or (`as_given`) text of the caller's; and, where one is relative to it, the directory that
 * the caller is in. */
struct mount_call {
	struct path *target;
	const void *target_text, *put_old_text, *source, *fstype;
	bool source_is_path;
};

static __always_inline __u64 fill_mount_paths(struct pool_row *row, struct mount_paths *paths, __u32 fixed,
					      const struct mount_call *call, __u32 *incomplete)
{
	struct path *target = call->target; /* CO-RE would take call->target for a member of the kernel's */
	const bool user = target == NULL;
	bool relative = false;
	__u64 at = 0, start;

	__builtin_memset(paths, 0, sizeof(*paths));
	paths->as_given = user;
	paths->source_is_path = call->source_is_path;
	if (!user) {
		at = put_pool_path(row, at, fixed, &paths->target, READ(target, mnt), READ(target, dentry), incomplete,
				   WIRE_MISSING_MOUNT_PATHS, WIRE_CUT_MOUNT_TARGET);
	} else {
		at = put_pool_text(row, at, fixed, &paths->target, call->target_text, true, TEXT_BYTES);
		relative |= is_relative(row, 0, paths->target.len);
		if (!paths->target.len)
			*incomplete |= WIRE_MISSING_MOUNT_PATHS;
		start = at;
		at = put_pool_text(row, at, fixed, &paths->put_old, call->put_old_text, true, TEXT_BYTES);
		relative |= is_relative(row, start, paths->put_old.len);
	}
	start = at;
	at = put_pool_text(row, at, fixed, &paths->source, call->source, user, TEXT_BYTES);
	if (call->source_is_path)
		relative |= is_relative(row, start, paths->source.len);
	at = put_pool_text(row, at, fixed, &paths->fstype, call->fstype, user, TYPE_BYTES);
	/* The directory goes last, and into what is left. */
	if (relative) {
		opaque(at);
		if (at > PATH_BYTES + TEXT_BYTES + TYPE_BYTES)
			return at;
		paths->cwd.off = fixed + at;
		paths->cwd.len = put_path(row->tail + at, path_row_of(PATH_OF_POOL, row->slot),
					  READ((struct task_struct *)bpf_get_current_task(), fs, pwd.mnt),
					  READ((struct task_struct *)bpf_get_current_task(), fs, pwd.dentry),
					  incomplete, WIRE_MISSING_MOUNT_PATHS, WIRE_MISSING_MOUNT_PATHS);
		at += paths->cwd.len;
	}
	return at;
}

#define SEND_MOUNT(kind, type, call, with_flags)                                                      \
	({                                                                                            \
		struct pool_row *row_ = take_row(kind);                                               \
		if (row_) {                                                                           \
			type *rec_ = record_in(row_, type);                                           \
			if (begin_event(ctx, row_, (void *)rec_, kind)) {                             \
				__u64 at_ = fill_mount_paths(row_, &rec_->paths, sizeof(*rec_), call, \
							     &rec_->hdr.incomplete);                  \
				with_flags;                                                           \
				end_event(ctx, &activity, &rec_->hdr, sizeof(*rec_), at_);            \
			}                                                                             \
			give_back(row_);                                                              \
		}                                                                                     \
		0;                                                                                    \
	})

/* path_mount(dev_name, path, type_page, flags, data_page) */
static __always_inline int mount_body(void *ctx, __u64 *args, int ret)
{
	struct mount_call call = { .target = (void *)args[1], .source = (void *)args[0], .fstype = (void *)args[2] };
	__u64 flags = mount_flags(args[3]);

	if (ret)
		return 0;
	call.source_is_path = flags & (MS_BIND | MS_MOVE);
	return SEND_MOUNT(WIRE_MOUNT, struct mount_done, &call, rec_->flags = flags);
}
ON_RETURN(namespace_mount, , path_mount, WIRE_MOUNT, 5, mount_body)

/* mount(source, target, fstype, flags, data) */
static __always_inline int mount_syscall(void *ctx, __u64 *args, int ret)
{
	struct mount_call call = { .target_text = (void *)args[1],
				   .source = (void *)args[0],
				   .fstype = (void *)args[2] };
	__u64 flags = mount_flags(args[3]);

	if (ret)
		return 0;
	call.source_is_path = flags & (MS_BIND | MS_MOVE);
	return SEND_MOUNT(WIRE_MOUNT, struct mount_done, &call, rec_->flags = flags);
}
ON_SYSCALL(namespace_mount, mount, WIRE_MOUNT, mount_syscall)

/* path_umount(path, flags) */
static __always_inline int umount_begins(void *ctx, struct path *path, __u64 flags)
{
	keep_call(WIRE_UMOUNT, flags, 0, 0, 0, 0, 0);
	return tell_part(ctx, WIRE_UMOUNT, WIRE_PART_TARGET, path);
}

static __always_inline int tell_after_parts(void *ctx, __u32 kind, __u64 flags)
{
	struct umount_done *rec; /* and move_mount_done */
	struct pool_row *row = take_row(kind);

	if (!row)
		return 0;
	rec = record_in(row, struct umount_done);
	if (begin_event(ctx, row, (void *)rec, kind)) {
		__builtin_memset(&rec->paths, 0, sizeof(rec->paths));
		rec->flags = flags;
		send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
	}
	give_back(row);
	return 0;
}

static __always_inline int umount_ends(void *ctx, int ret)
{
	struct call call;

	if (!take_call(WIRE_UMOUNT, &call) || ret)
		return 0;
	return tell_after_parts(ctx, WIRE_UMOUNT, (__u32)call.args[0]);
}

#define UMOUNT_BEGINS(ARG) umount_begins(ctx, (struct path *)ARG(0), ARG(1))
#define UMOUNT_ENDS(ret) umount_ends(ctx, ret)
ON_BOTH(namespace_umount, , path_umount, 2, UMOUNT_BEGINS, UMOUNT_ENDS)

/* umount2(target, flags) */
static __always_inline int umount_syscall(void *ctx, __u64 *args, int ret)
{
	struct mount_call call = { .target_text = (void *)args[0] };
	__u64 flags = (__u32)args[1];

	if (ret)
		return 0;
	return SEND_MOUNT(WIRE_UMOUNT, struct umount_done, &call, rec_->flags = flags);
}
ON_SYSCALL(namespace_umount, umount, WIRE_UMOUNT, umount_syscall)

/* security_move_mount(from_path, to_path), then the system call's end */
static __always_inline int move_mount_paths(void *ctx, struct path *from, struct path *to)
{
	tell_part(ctx, WIRE_MOVE_MOUNT, WIRE_PART_SOURCE, from);
	return tell_part(ctx, WIRE_MOVE_MOUNT, WIRE_PART_TARGET, to);
}
#define MOVE_MOUNT_PATHS(ARG) move_mount_paths(ctx, (struct path *)ARG(0), (struct path *)ARG(1))
ON_ENTRY(namespace_move_mount__paths, security_move_mount, MOVE_MOUNT_PATHS)

static __always_inline int move_mount_body(void *ctx, __u64 *args, int ret)
{
	return ret ? 0 : tell_after_parts(ctx, WIRE_MOVE_MOUNT, (__u32)SYSCALL_PARM5(args[0]));
}
ON_RETURN(namespace_move_mount, , __x64_sys_move_mount, WIRE_MOVE_MOUNT, 1, move_mount_body)
#if defined(__TARGET_ARCH_x86)
static __always_inline int move_mount_body_32(void *ctx, __u64 *args, int ret)
{
	return ret ? 0 : tell_after_parts(ctx, WIRE_MOVE_MOUNT, (__u32)COMPAT_PARM5(args[0]));
}
ON_RETURN(namespace_move_mount, 32, __ia32_sys_move_mount, WIRE_MOVE_MOUNT, 1, move_mount_body_32)
#endif

/* move_mount(from_dfd, from_path, to_dfd, to_path, flags) */
static __always_inline int move_mount_syscall(void *ctx, __u64 *args, int ret)
{
	struct mount_call call = { .target_text = (void *)args[3], .source = (void *)args[1], .source_is_path = true };
	__u64 flags = (__u32)args[4];

	if (ret)
		return 0;
	return SEND_MOUNT(WIRE_MOVE_MOUNT, struct move_mount_done, &call, rec_->flags = flags);
}
ON_SYSCALL(namespace_move_mount, move_mount, WIRE_MOVE_MOUNT, move_mount_syscall)

/* ---- Roots ---- */

/* security_sb_pivotroot(old_path, new_path), then chroot_fs_refs, which only a pivot_root that worked calls. */
static __always_inline int pivot_root_paths(void *ctx, struct path *put_old, struct path *target)
{
	tell_part(ctx, WIRE_PIVOT_ROOT, WIRE_PART_PUT_OLD, put_old);
	return tell_part(ctx, WIRE_PIVOT_ROOT, WIRE_PART_TARGET, target);
}
#define PIVOT_ROOT_PATHS(ARG) pivot_root_paths(ctx, (struct path *)ARG(0), (struct path *)ARG(1))
ON_ENTRY(namespace_pivot_root__paths, security_sb_pivotroot, PIVOT_ROOT_PATHS)

static __always_inline int pivot_root_done(void *ctx)
{
	struct root_change *rec;
	struct pool_row *row;

	if (!current_in_scope())
		return 0;
	row = take_row(WIRE_PIVOT_ROOT);
	if (!row)
		return 0;
	rec = record_in(row, struct root_change);
	if (begin_event(ctx, row, (void *)rec, WIRE_PIVOT_ROOT)) {
		__builtin_memset(&rec->paths, 0, sizeof(rec->paths));
		send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
	}
	give_back(row);
	return 0;
}
#define PIVOT_ROOT_DONE(ARG) pivot_root_done(ctx)
ON_ENTRY(namespace_pivot_root, chroot_fs_refs, PIVOT_ROOT_DONE)

/* pivot_root(new_root, put_old) */
static __always_inline int pivot_root_syscall(void *ctx, __u64 *args, int ret)
{
	struct mount_call call = { .target_text = (void *)args[0], .put_old_text = (void *)args[1] };

	return ret ? 0 : SEND_MOUNT(WIRE_PIVOT_ROOT, struct root_change, &call, (void)0);
}
ON_SYSCALL(namespace_pivot_root, pivot_root, WIRE_PIVOT_ROOT, pivot_root_syscall)

/* security_path_chroot(path): the last thing that can refuse. */
static __always_inline int chroot_body(void *ctx, __u64 *args, int ret)
{
	struct mount_call call = { .target = (void *)args[0] };

	return ret ? 0 : SEND_MOUNT(WIRE_CHROOT, struct root_change, &call, (void)0);
}
ON_RETURN(namespace_chroot, , security_path_chroot, WIRE_CHROOT, 1, chroot_body)

static __always_inline int chroot_syscall(void *ctx, __u64 *args, int ret)
{
	struct mount_call call = { .target_text = (void *)args[0] };

	return ret ? 0 : SEND_MOUNT(WIRE_CHROOT, struct root_change, &call, (void)0);
}
ON_SYSCALL(namespace_chroot, chroot, WIRE_CHROOT, chroot_syscall)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
