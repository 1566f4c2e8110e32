/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The events of a process's beginning and end, for the programs of every tier. */
#pragma once
#include "turn.bpf.h"
#include "wire/process.h"

SHARED_SCRATCH(fork_scratch, struct process_fork);
SHARED_SCRATCH(exit_scratch, struct process_exit);

/* Most have those of the child: eight objects, far apart, that are not read twice. */
static __always_inline void fill_creator_namespaces(struct process_fork *rec, struct task_struct *creator,
						    struct task_struct *child, const bool direct)
{
	__u32 pid_ns = innermost_pid_of(creator).ns;

	if (READ(creator, nsproxy) == KREAD(child, nsproxy)) {
		rec->creator_ns = rec->task.ns;
		rec->creator_ns.pid = pid_ns;
		rec->creator_ns.user = READ(creator, real_cred, user_ns, ns.inum);
	} else {
		fill_namespaces(&rec->creator_ns, creator, pid_ns, false);
	}
}

/* ---- fork: task_newtask(task, clone_flags), in copy_process, before the child runs ---- */

static __always_inline int fork_body(void *ctx, struct task_struct *child, __u64 clone_flags, const bool direct,
				     const int copy)
{
	struct task_struct *creator = (void *)bpf_get_current_task();
	struct process_fork *rec;

	if ((clone_flags & CLONE_THREAD) || (KREAD(child, flags) & PF_KTHREAD))
		return 0;
	if (already_done(KREAD(child, pid), WIRE_PROCESS_FORK, copy) || !fork_in_scope(creator, child, direct))
		return 0;
	mark_done(KREAD(child, pid), WIRE_PROCESS_FORK, copy);
	rec = scratch_of(&fork_scratch, copy);
	if (!rec || !begin_record(&rec->hdr, WIRE_PROCESS_FORK))
		return 0;
	fill_task(&rec->task, child, direct);
	fill_cgroup(ctx, &rec->hdr, &rec->task, child);
	fill_creator_namespaces(rec, creator, child, direct);
	rec->clone_flags = clone_flags;
	rec->creator_pid = READ(creator, tgid);
	rec->pad0 = 0;
	send_record(ctx, &lifecycle, &rec->hdr, sizeof(*rec));
	return 0;
}

/* ---- exit: sched_process_exit(task), every thread; a process ends with its last ---- */

struct ended_key {
	__u64 start_ns;
	__u32 pid;
	__u32 pad0;
};

/* Two threads that end at once can both see that none is left (signal->live was decremented by both before): the first
 * to put the process here reports it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct ended_key);
	__type(value, __u32);
} ended __weak SEC(".maps");

static __always_inline int exit_body(void *ctx, struct task_struct *task, const bool direct, const int copy)
{
	struct task_struct *leader = KREAD(task, group_leader);
	struct signal_struct *signal = KREAD(task, signal);
	struct process_exit *rec;

	if (KREAD(signal, live.counter) > 0 || (KREAD(task, flags) & PF_KTHREAD) ||
	    already_done(KREAD(task, pid), WIRE_PROCESS_EXIT, copy) || !in_scope(task, direct))
		return 0;
	mark_done(KREAD(task, pid), WIRE_PROCESS_EXIT, copy);
	if (KREAD(signal, nr_threads) > 1) {
		struct ended_key key = { .start_ns = start_ns_of(leader, direct), .pid = KREAD(task, tgid) };
		__u32 one = 1;

		if (bpf_map_update_elem(&ended, &key, &one, BPF_NOEXIST))
			return 0;
	}
	rec = scratch_of(&exit_scratch, copy);
	if (!rec || !begin_record(&rec->hdr, WIRE_PROCESS_EXIT))
		return 0;
	fill_task(&rec->task, task, direct);
	fill_cgroup(ctx, &rec->hdr, &rec->task, task);
	/* What wait(2) will say: Linux kernel, wait_task_zombie(). */
	if (KREAD(signal, flags) & SIGNAL_GROUP_EXIT)
		rec->status = KREAD(signal, group_exit_code);
	else
		rec->status = KREAD(leader, exit_code);
	rec->pad0 = 0;
	/* signal_struct holds the sum of the threads that were released; this one and a leader that ended before are
	 * not among them. */
	rec->utime_ns = KREAD(signal, utime) + KREAD(task, utime);
	rec->stime_ns = KREAD(signal, stime) + KREAD(task, stime);
	rec->run_ns = KREAD(signal, sum_sched_runtime) + KREAD(task, se.sum_exec_runtime);
	rec->max_rss_kb = KREAD(signal, maxrss) * 4;
	rec->read_bytes = ~0ULL;
	rec->write_bytes = ~0ULL;
	if (bpf_core_field_exists(struct task_io_accounting, read_bytes)) {
		rec->read_bytes = KREAD(signal, ioac.read_bytes) + KREAD(task, ioac.read_bytes);
		rec->write_bytes = KREAD(signal, ioac.write_bytes) + KREAD(task, ioac.write_bytes);
	}
	if (KREAD(task, pid) != KREAD(task, tgid)) {
		rec->utime_ns += KREAD(leader, utime);
		rec->stime_ns += KREAD(leader, stime);
		rec->run_ns += KREAD(leader, se.sum_exec_runtime);
		if (bpf_core_field_exists(struct task_io_accounting, read_bytes)) {
			rec->read_bytes += KREAD(leader, ioac.read_bytes);
			rec->write_bytes += KREAD(leader, ioac.write_bytes);
		}
	}
	send_record(ctx, &lifecycle, &rec->hdr, sizeof(*rec));
	leave_scope(rec->task.pid);
	return 0;
}
