/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stand-ins for programs that the kernel skips.
 *
 * Since Linux kernel commit a46023d5616e ("tracing: Guard __DECLARE_TRACE() use of __DO_TRACE_CALL() with SRCU-fast")
 * (in v7.0) a task can be preempted in a tracepoint's program; fentry programs always could. While it is, the kernel
 * skips the same program for every other task on that CPU (__bpf_prog_enter_recur, __bpf_trace_run): in an exec storm
 * on two busy CPUs two events in a hundred were missed so. Turning preemption off in the program does not help: it is
 * turned on again, and the other task let in, before the program has ended for the kernel.
 *
 * So each such program is loaded three times. The first copy that runs for an event marks it as done; the next ones see
 * the mark and leave. An event that finds all three busy is lost. The kernel counts the skipped runs of each copy; the
 * least of the three counts is told as lost, reason "missed": no more than that can be lost. */
#pragma once
#include "scope.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} turns __weak SEC(".maps");

/* One task does one thing of a kind at a time, so its id tells the event. */
static __always_inline __u64 turn_key(__u32 tid, __u32 kind)
{
	return (__u64)tid << 8 | kind;
}

/* For the copies after the first: whether one before has done it. The last copy takes the mark away. */
static __always_inline bool already_done(__u32 tid, __u32 kind, const int copy)
{
	__u64 key = turn_key(tid, kind);

	if (!stand_ins || copy == 0 || !bpf_map_lookup_elem(&turns, &key))
		return false;
	if (copy == COPIES - 1)
		bpf_map_delete_elem(&turns, &key);
	return true;
}

static __always_inline void mark_done(__u32 tid, __u32 kind, const int copy)
{
	__u64 key = turn_key(tid, kind);
	__u32 one = 1;

	if (stand_ins && copy < COPIES - 1)
		bpf_map_update_elem(&turns, &key, &one, BPF_ANY);
}

/* NAME, and its stand-ins NAME_2 and NAME_3 (with_stand_ins(), src/agent/programs.cpp). */
#define WITH_STAND_INS(section, name, type, expression) \
	SEC(section) int name(type *ctx)                \
	{                                               \
		const int copy = 0;                     \
		return expression;                      \
	}                                               \
	SEC(section) int name##_2(type *ctx)            \
	{                                               \
		const int copy = 1;                     \
		return expression;                      \
	}                                               \
	SEC(section) int name##_3(type *ctx)            \
	{                                               \
		const int copy = 2;                     \
		return expression;                      \
	}
