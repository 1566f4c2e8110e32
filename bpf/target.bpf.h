/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The process acted upon. */
#pragma once
#include "call.bpf.h"
#include "wire/memory.h"

static __always_inline void fill_target(struct wire_target *out, struct task_struct *task)
{
	struct task_struct *leader = READ(task, group_leader);

	out->pid = READ(task, tgid);
	out->start_ns = start_ns_of(leader, false);
	out->pad0 = 0;
	__builtin_memset(out->comm, 0, sizeof(out->comm));
	bpf_probe_read_kernel_str(out->comm, sizeof(out->comm), &leader->comm);
}

/* A pid that the caller gave. It says who is meant only where the caller's numbers are the root's. */
static __always_inline void fill_target_by_number(struct wire_target *out, __u32 *incomplete, __u32 number)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct pid *pid = pid_of(task);

	__builtin_memset(out, 0, sizeof(*out));
	if (READ(pid, level) == 0)
		out->pid = number;
	else
		*incomplete |= WIRE_MISSING_TARGET;
}
