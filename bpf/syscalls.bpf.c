/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two programs at all system calls, in place of one at each: they call what stands in the slot of the call's number.
 *
 * The kernel waits for every CPU each time the last program leaves a tracepoint (perf_trace_event_unreg,
 * tracepoint_synchronize_unregister): 60 ms for each of the seventy tracepoints of system calls that the families use.
 * And one program at one system call already sends every call of every process the slow way through
 * syscall_trace_enter. The context is the same, include/trace/events/syscalls.h. */
#include "emit.bpf.h"
#include "syscall.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 512);
	__type(key, __u32);
	__type(value, __u32);
} syscall_enter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 512);
	__type(key, __u32);
	__type(value, __u32);
} syscall_exit SEC(".maps");

SEC("tracepoint/raw_syscalls/sys_enter")
int syscalls__enter(struct sys_enter_ctx *ctx)
{
	if (!is_compat())
		bpf_tail_call(ctx, &syscall_enter, ctx->nr);
	return 0;
}

SEC("tracepoint/raw_syscalls/sys_exit")
int syscalls__exit(struct sys_exit_ctx *ctx)
{
	if (!is_compat())
		bpf_tail_call(ctx, &syscall_exit, ctx->nr);
	return 0;
}
