/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One accessor for each thing that kernels do differently, newest shape first, each with the commit that changed it.
 * Callers never see the difference. */
#pragma once
#include "read.bpf.h"
#include <asm/ptrace.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct timespec64 {
	__s64 tv_sec;
	long tv_nsec;
};

struct inode___split_times {
	__s64 i_mtime_sec, i_ctime_sec;
	__u32 i_mtime_nsec, i_ctime_nsec;
};
struct inode___private_times {
	struct timespec64 __i_mtime, __i_ctime;
};
struct inode___private_ctime {
	struct timespec64 i_mtime, __i_ctime;
};
struct inode___public_times {
	struct timespec64 i_mtime, i_ctime;
};

struct kernfs_node___rcu_parent {
	struct kernfs_node *__parent;
};
struct kernfs_node___plain_parent {
	struct kernfs_node *parent;
};

struct task_struct___before_5_5 {
	__u64 real_start_time;
};
struct pid_link___before_4_19 {
	struct pid *pid;
};
struct task_struct___before_4_19 {
	struct pid_link___before_4_19 pids[1];
};
union kernfs_node_id {
	struct {
		__u32 ino;
	};
};
struct kernfs_node___before_5_5 {
	union kernfs_node_id id;
};

struct cgroup___ancestor_pointers {
	struct cgroup *ancestors[1];
};
struct cgroup___ancestor_ids {
	__u64 ancestor_ids[1];
};

struct iov_iter___ubuf {
	void *ubuf;
};
struct iovec {
	void *iov_base;
};
struct iov_iter___iov {
	const struct iovec *iov;
};

struct task_struct___audit_info {
	struct audit_task_info *audit;
};
struct audit_task_info {
	kuid_t loginuid;
};

struct renamedata___user_namespaces {
	struct user_namespace *old_mnt_userns;
};
struct renamedata___two_idmaps {
	struct mnt_idmap *old_mnt_idmap;
};
struct renamedata___one_idmap {
	struct mnt_idmap *mnt_idmap;
};

struct super_block___chained_mounts {
	struct mount *s_mounts;
};
struct mount___chained_mounts {
	struct mount *mnt_next_for_sb;
};
struct counted {
	long counter;
};
struct file___counted {
	struct counted f_count;
};
struct file___referenced {
	struct counted f_ref;
};

struct btrfs_root {
	__u32 anon_dev;
};
struct btrfs_inode {
	struct btrfs_root *root;
	struct inode vfs_inode;
};

#pragma clang attribute pop

enum bpf_func_id___asked {
	BPF_FUNC_get_func_ret___asked = 184,
};

#define NSEC_PER_SEC 1000000000LL

struct file_times {
	__s64 mtime_ns, ctime_ns;
};

/* The top bit of i_ctime_nsec says that somebody asked for the time: Linux kernel commit 4e40eff0b573 ("fs: add
 * infrastructure for multigrain timestamps") (in v6.13). No valid number of nanoseconds has it. */
#define CTIME_NSEC_MASK 0x7fffffffU

/* Linux kernel commit 3aa63a569c64 ("fs: switch timespec64 fields in inode to discrete integers") (in v6.11),
 * 12cd44023651 ("fs: rename inode i_atime and i_mtime fields") (in v6.7),
 * 13bc24457850 ("fs: rename i_ctime field to __i_ctime") (in v6.6). */
static __always_inline struct file_times inode_times(struct inode *inode)
{
	struct file_times t = {};

	if (bpf_core_field_exists(struct inode___split_times, i_mtime_sec)) {
		struct inode___split_times *i = (void *)inode;

		t.mtime_ns = READ(i, i_mtime_sec) * NSEC_PER_SEC + READ(i, i_mtime_nsec);
		t.ctime_ns = READ(i, i_ctime_sec) * NSEC_PER_SEC + (READ(i, i_ctime_nsec) & CTIME_NSEC_MASK);
	} else if (bpf_core_field_exists(struct inode___private_times, __i_mtime)) {
		struct inode___private_times *i = (void *)inode;

		t.mtime_ns = READ(i, __i_mtime.tv_sec) * NSEC_PER_SEC + READ(i, __i_mtime.tv_nsec);
		t.ctime_ns = READ(i, __i_ctime.tv_sec) * NSEC_PER_SEC + READ(i, __i_ctime.tv_nsec);
	} else if (bpf_core_field_exists(struct inode___private_ctime, __i_ctime)) {
		struct inode___private_ctime *i = (void *)inode;

		t.mtime_ns = READ(i, i_mtime.tv_sec) * NSEC_PER_SEC + READ(i, i_mtime.tv_nsec);
		t.ctime_ns = READ(i, __i_ctime.tv_sec) * NSEC_PER_SEC + READ(i, __i_ctime.tv_nsec);
	} else {
		struct inode___public_times *i = (void *)inode;

		t.mtime_ns = READ(i, i_mtime.tv_sec) * NSEC_PER_SEC + READ(i, i_mtime.tv_nsec);
		t.ctime_ns = READ(i, i_ctime.tv_sec) * NSEC_PER_SEC + READ(i, i_ctime.tv_nsec);
	}
	return t;
}

/* Linux kernel commit 741c10b096bc ("kernfs: Use RCU to access kernfs_node::name.") and 633488947ef6 ("kernfs: Use
 * RCU to access kernfs_node::parent.") (in v6.15). */
static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	if (bpf_core_field_exists(struct kernfs_node___rcu_parent, __parent))
		return READ((struct kernfs_node___rcu_parent *)node, __parent);
	return READ((struct kernfs_node___plain_parent *)node, parent);
}

/* CLOCK_BOOTTIME. Linux kernel commit cf25e24db61c ("time: Rename tsk->real_start_time to ->start_boottime") (in v5.5).
 */
static __always_inline __u64 start_ns_of(struct task_struct *task, const bool direct)
{
	if (bpf_core_field_exists(struct task_struct, start_boottime))
		return KREAD(task, start_boottime);
	return READ((struct task_struct___before_5_5 *)task, real_start_time);
}

/* A number of the task that an array in task_struct leads to: before Linux kernel commit 2c4704756cab ("pids: Move the
 * pgrp and session pid pointers from task_struct to signal_struct") (in v4.19), where threads share their leader's. */
static __always_inline struct pid *linked_pid(struct task_struct *task, __u32 type)
{
	struct task_struct *leader = READ(task, group_leader);
	struct pid_link___before_4_19 *link = (void *)leader +
					      bpf_core_field_offset(struct task_struct___before_4_19, pids) +
					      (__u64)type * bpf_core_type_size(struct pid_link___before_4_19);

	return READ(link, pid);
}

/* In the next two, 4.19's verifier follows both ways of a jump on a number other than the one that it knows
 * (is_branch_taken came with 4.20), and would meet the relocations of the older shape, which failed: it leaves before.
 * `gone` is a 1 of its own, about which the first jump said nothing. */

/* The thread's own. Same commit. */
static __always_inline struct pid *pid_of(struct task_struct *task)
{
	__u64 newer = bpf_core_field_exists(struct task_struct, thread_pid), gone = newer;
	struct pid_link___before_4_19 *link;

	opaque(newer);
	opaque(gone);
	if (newer)
		return READ(task, thread_pid);
	if (gone == 1)
		return NULL;
	link = (void *)task + bpf_core_field_offset(struct task_struct___before_4_19, pids);
	return READ(link, pid);
}

/* The process group's or session's. Same commit. */
static __always_inline struct pid *signal_pid(struct task_struct *task, int type)
{
	__u64 newer = bpf_core_field_exists(struct signal_struct, pids), gone = newer;

	opaque(newer);
	opaque(gone);
	if (newer)
		return READ(task, signal, pids[type]);
	if (gone == 1)
		return NULL;
	return linked_pid(task, type - 1);
}

/* Linux kernel commit 67c0496e87d1 ("kernfs: convert kernfs_node->id from union kernfs_node_id to u64") (in v5.5):
 * before, the inode number was the lower half, and what stat(2) shows. */
static __always_inline __u64 kernfs_id(struct kernfs_node *node)
{
	if (bpf_core_field_exists(struct kernfs_node, id))
		return READ(node, id);
	return READ((struct kernfs_node___before_5_5 *)node, id.ino);
}

/* The id of the ancestor at `level`, which must not be deeper than the cgroup itself.
 * Linux kernel commit 7f203bc89eb6 ("cgroup: Replace cgroup->ancestor_ids[] with ->ancestors[]") (in v6.1). */
static __always_inline __u64 cgroup_ancestor_id(struct cgroup *cgroup, __u32 level)
{
	if (bpf_core_field_exists(struct cgroup___ancestor_pointers, ancestors)) {
		struct cgroup___ancestor_pointers *c = (void *)cgroup;
		__u64 at = (__u64)c + bpf_core_field_offset(struct cgroup___ancestor_pointers, ancestors);
		struct cgroup *ancestor = READ_AT(struct cgroup *, at + (__u64)level * sizeof(void *));

		return READ(ancestor, kn, id);
	} else {
		struct cgroup___ancestor_ids *c = (void *)cgroup;
		__u64 at = (__u64)c + bpf_core_field_offset(struct cgroup___ancestor_ids, ancestor_ids);

		return READ_AT(__u64, at + (__u64)level * sizeof(__u64));
	}
}

/* The audit login uid. Red Hat's 4.18 keeps it in task->audit; a kernel without CONFIG_AUDIT has none. */
static __always_inline __u32 task_login_uid(struct task_struct *task)
{
	if (bpf_core_field_exists(struct task_struct, loginuid))
		return READ(task, loginuid.val);
	if (bpf_core_field_exists(struct task_struct___audit_info, audit))
		return READ((struct task_struct___audit_info *)task, audit, loginuid.val);
	return ~0U;
}

/* The upper dentry of an overlayfs inode: struct ovl_inode is private to the module, but since 4.13 (commit
 * 09d8b586731b ("ovl: move __upperdentry to ovl_inode")) the pointer follows the embedded inode. */
static __always_inline bool overlay_inode_is_upper(struct inode *inode)
{
	return READ_AT(__u64, (void *)inode + bpf_core_type_size(struct inode)) != 0;
}

/* Programs are shown a task's registers, and the task itself as a type.
 * Linux kernel commit dd6e10fbd9fb ("bpf: Add bpf_task_pt_regs() helper") (in v5.15). */
#define SHOWS_REGISTERS bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)

/* The number of the system call that the current thread is in, from the registers with which it entered the kernel;
 * -1: not known, or a 32-bit program's, whose numbers are others.
 * Before programs were shown them, x86 kept nothing behind the registers at the top of the stack. */
#if defined(__TARGET_ARCH_x86)
#define X86_THREAD_SIZE 16384
#define X86_USER32_CS 0x23
static __always_inline void read_current_registers(struct pt_regs *to)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	void *regs;

	if (SHOWS_REGISTERS)
		regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	else
		regs = READ(task, stack) + X86_THREAD_SIZE - sizeof(struct pt_regs);
	bpf_probe_read_kernel(to, sizeof(*to), regs);
}

static __always_inline __s32 current_syscall(void)
{
	struct pt_regs regs = {};

	read_current_registers(&regs);
	return regs.cs == X86_USER32_CS ? -1 : (__s32)regs.orig_rax;
}
#else
static __always_inline __s32 current_syscall(void)
{
	return -1;
}
#endif

/* enum kernel_read_file_id: the numbers move, and a compressed module has one of its own where the kernel decompresses
 * (READING_MODULE_COMPRESSED). */
enum kernel_read_file_id {
	READING_MODULE = 2,
	READING_KEXEC_IMAGE = 3,
};
enum kernel_read_file_id___compressed {
	READING_MODULE_COMPRESSED = 3,
};

static __always_inline bool reads_module(int id)
{
	if (id == (int)bpf_core_enum_value(enum kernel_read_file_id, READING_MODULE))
		return true;
	return bpf_core_enum_value_exists(enum kernel_read_file_id___compressed, READING_MODULE_COMPRESSED) &&
	       id == (int)bpf_core_enum_value(enum kernel_read_file_id___compressed, READING_MODULE_COMPRESSED);
}

static __always_inline bool reads_kexec_image(int id)
{
	return id == (int)bpf_core_enum_value(enum kernel_read_file_id, READING_KEXEC_IMAGE);
}

/* The user's buffer of a write(2) that has become an iterator.
 * Linux kernel commit fcb14cb1bdac ("new iov_iter flavour - ITER_UBUF") (in v6.0). */
static __always_inline void *iter_user_base(struct iov_iter *iter)
{
	if (bpf_core_field_exists(struct iov_iter___ubuf, ubuf))
		return READ((struct iov_iter___ubuf *)iter, ubuf);
	if (bpf_core_field_exists(struct iov_iter___iov, iov))
		return READ((struct iov_iter___iov *)iter, iov, iov_base);
	return NULL;
}

struct tcp_traffic {
	__u64 sent, received; /* payload; what was sent again counts once */
	__u64 packets_out, packets_in;
};

/* What a TCP socket has counted. bytes_received goes up by one for the peer's FIN; bytes_acked by one for the SYN and
 * by one for the FIN that were acknowledged, which the side that accepts did not send a SYN for, so it serves only
 * where there is nothing better: Linux kernel commits ba113c3aa79a ("tcp: add data bytes sent stats") and fb31c9b9f6c8
 * ("tcp: add data bytes retransmitted stats") (in v4.19). */
static __always_inline struct tcp_traffic tcp_traffic(struct sock *sk)
{
	struct tcp_sock *tp = (void *)sk;
	struct tcp_traffic t = {};

	t.received = READ(tp, bytes_received);
	if (t.received && (READ(sk, __sk_common.skc_flags) & (1UL << SOCK_DONE)))
		t.received--;
	if (bpf_core_field_exists(struct tcp_sock, bytes_sent))
		t.sent = READ(tp, bytes_sent) - READ(tp, bytes_retrans);
	else
		t.sent = READ(tp, bytes_acked);
	t.packets_out = READ(tp, segs_out);
	t.packets_in = READ(tp, segs_in);
	return t;
}

/* Whether the vfs_ functions begin with the mount's id mapping: Linux kernel commit 9fe61450972d ("namei: introduce
 * struct renamedata") and its series (in v5.12) brought it as a user namespace, abf08576afe3 ("fs: port vfs_*()
 * helpers to struct mnt_idmap") (in v6.3) as what it is, d7fb2c410240 ("VFS: unify old_mnt_idmap and new_mnt_idmap in
 * renamedata") (in v6.18) once for both. The struct alone was carried to v5.10.y, without a mapping. */
static __always_inline bool vfs_takes_idmap(void)
{
	return bpf_core_field_exists(struct renamedata___one_idmap, mnt_idmap) ||
	       bpf_core_field_exists(struct renamedata___two_idmaps, old_mnt_idmap) ||
	       bpf_core_field_exists(struct renamedata___user_namespaces, old_mnt_userns);
}

/* The device that stat(2) shows. A btrfs subvolume has its own, which no member of the inode or super block tells:
 * btrfs_getattr(). The inode is embedded in the file system's. */
static __always_inline __u32 inode_device(struct inode *inode)
{
	struct super_block *sb = READ(inode, i_sb);

	if (bpf_core_field_exists(struct btrfs_inode, root) && READ(sb, s_magic) == BTRFS_SUPER_MAGIC) {
		struct btrfs_inode *b = (void *)inode - bpf_core_field_offset(struct btrfs_inode, vfs_inode);
		__u32 dev = READ(b, root, anon_dev);

		if (dev)
			return dev;
	}
	return READ(sb, s_dev);
}

/* The first mount of a file system, and the one after `mnt`: Linux kernel commit 3371fa2f2713
 * ("struct mount: relocate MNT_WRITE_HOLD bit") and its series (in v6.18) made a chain of what was a list. NULL on
 * older kernels: their callers then know only the mounts that they have otherwise. */
static __always_inline struct mount *first_mount(struct super_block *sb)
{
	if (bpf_core_field_exists(struct mount___chained_mounts, mnt_next_for_sb))
		return READ((struct super_block___chained_mounts *)sb, s_mounts);
	return NULL;
}

static __always_inline struct mount *next_mount(struct mount *mnt)
{
	if (bpf_core_field_exists(struct mount___chained_mounts, mnt_next_for_sb))
		return READ((struct mount___chained_mounts *)mnt, mnt_next_for_sb);
	return NULL;
}

/* Whether nobody else holds the open file. Linux kernel commit 90ee6ed776c0 ("fs: port files to file_ref") (in v6.13):
 * the counter starts at 0 for one. */
static __always_inline bool is_last_reference(struct file *file)
{
	if (bpf_core_field_exists(struct file___referenced, f_ref))
		return READ_AT(long, (void *)file + bpf_core_field_offset(struct file___referenced, f_ref)) == 0;
	return READ_AT(long, (void *)file + bpf_core_field_offset(struct file___counted, f_count)) == 1;
}
