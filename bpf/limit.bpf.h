/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rate limits: of one kind of event, a process may cause so many a second. What is above is counted, by process and
 * kind, and not sent. */
#pragma once
#include "read.bpf.h"
#include "wire/base.h"

/* Between two events of a process and kind, in the long run; 0: no limit. */
const volatile __u64 limit_interval_ns __weak = 0;

/* A process that was quiet may cause the events of a second at once. */
#define LIMIT_BURST_NS 1000000000ULL
/* Places where a process's row can be. All taken by others that are busy: it goes unlimited. */
#define LIMIT_PLACES 4

MAPPED_ARRAY(limits, WIRE_LIMIT_ROWS, struct wire_limit);

static __always_inline struct wire_limit *limit_of(__u32 kind, __u32 pid, __u64 start_ns, __u64 now)
{
	__u32 place = (pid * 2654435761U) ^ (kind * 40503U); /* Knuth's multiplicative hash */

	for (int i = 0; i < LIMIT_PLACES; i++) {
		__u32 row = 1 + ((place >> 12) + i) % (WIRE_LIMIT_ROWS - 1);
		struct wire_limit *limit = bpf_map_lookup_elem(&limits, &row);

		if (!limit)
			return NULL;
		if (limit->pid == pid && limit->kind == kind && limit->start_ns == start_ns)
			return limit;
		/* Full again, and all that was held back has been told: nobody needs it. */
		if (limit->full_ns <= now && limit->suppressed == limit->told) {
			limit->start_ns = start_ns;
			limit->pid = pid;
			limit->kind = kind;
			limit->full_ns = now;
			return limit;
		}
	}
	return NULL;
}

/* 1: the process caused as many events of the kind as it may; counted. Two CPUs that add for one process at once may
 * let one more pass; what is held back is counted exactly. Global: the verifier looks at it once a program. */
__weak __noinline int over_limit(__u32 kind, __u32 pid, __u64 start_ns)
{
	__u64 now = bpf_ktime_get_boot_ns(), full_ns;
	struct wire_limit *limit, *sum;
	__u32 zero = 0;

	if (!limit_interval_ns)
		return 0;
	limit = limit_of(kind, pid, start_ns, now);
	if (!limit)
		return 0;
	full_ns = limit->full_ns > now ? limit->full_ns : now;
	if (full_ns + limit_interval_ns <= now + LIMIT_BURST_NS) {
		limit->full_ns = full_ns + limit_interval_ns;
		return 0;
	}
	sum = bpf_map_lookup_elem(&limits, &zero);
	if (!sum)
		return 0;
	__sync_fetch_and_add(&limit->suppressed, 1);
	__sync_fetch_and_add(&sum->suppressed, 1);
	return 1;
}

/* The same for the current process. */
static __always_inline bool over_limit_current(__u16 kind)
{
	struct task_struct *task;

	if (!limit_interval_ns || !(WIRE_KINDS_LIMITED >> kind & 1))
		return false;
	task = (void *)bpf_get_current_task();
	return over_limit(kind, READ(task, tgid), READ(task, group_leader, start_boottime));
}
