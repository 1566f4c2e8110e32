/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* unshare and setns: what a thread had before, and has after. */
#pragma once
#include "call.bpf.h"

/* include/uapi/linux/sched.h */
#define CLONE_NEWTIME 0x00000080
#define CLONE_NEWNS 0x00020000
#define CLONE_NEWCGROUP 0x02000000
#define CLONE_NEWUTS 0x04000000
#define CLONE_NEWIPC 0x08000000
#define CLONE_NEWUSER 0x10000000
#define CLONE_NEWPID 0x20000000
#define CLONE_NEWNET 0x40000000

static __always_inline __u32 pid_namespace_for_children(struct task_struct *task)
{
	return READ(task, nsproxy, pid_ns_for_children, ns.inum);
}

static __always_inline int change_begins(__u32 kind, __u64 flags)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct call call = { .args = { flags } };

	if (!current_in_scope())
		return 0;
	fill_namespaces(&call.ns, task, innermost_pid_of(task).ns, false);
	call.pid_for_children = pid_namespace_for_children(task);
	put_call(kind, &call);
	return 0;
}

static __always_inline __u64 changed(__u32 before, __u32 after, __u64 flag)
{
	return before != after ? flag : 0;
}

static __always_inline int change_ends(void *ctx, __u32 kind, int ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct wire_namespaces *old, *new;
	struct namespace_change *rec;
	struct pool_row *row;
	struct call call;

	if (!take_call(kind, &call) || ret)
		return 0;
	row = take_row(kind);
	if (!row)
		return 0;
	rec = record_in(row, struct namespace_change);
	if (begin_event(ctx, row, (void *)rec, kind)) {
		rec->before = call.ns;
		rec->pid_for_children_before = call.pid_for_children;
		rec->pid_for_children = pid_namespace_for_children(task);
		old = &call.ns;
		new = &rec->task.ns;
		rec->flags = call.args[0] | changed(old->mnt, new->mnt, CLONE_NEWNS) |
			     changed(old->net, new->net, CLONE_NEWNET) | changed(old->user, new->user, CLONE_NEWUSER) |
			     changed(old->uts, new->uts, CLONE_NEWUTS) | changed(old->ipc, new->ipc, CLONE_NEWIPC) |
			     changed(old->cgroup, new->cgroup, CLONE_NEWCGROUP) |
			     changed(old->time, new->time, CLONE_NEWTIME) |
			     changed(call.pid_for_children, rec->pid_for_children, CLONE_NEWPID);
		add_cgroup(ctx, row, (void *)rec);
		send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
	}
	give_back(row);
	return 0;
}
