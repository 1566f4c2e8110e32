/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two programs at all system calls, in place of one at each: they call what stands in the slot of the call's number.
 *
 * A program at one system call already sends every call of every process the slow way through syscall_trace_enter, and
 * with a perf event (tracepoint/syscalls/...) each further tracepoint is one more thing that every call passes; and the
 * kernel waits for every CPU each time the last event leaves a tracepoint (perf_trace_event_unreg,
 * tracepoint_synchronize_unregister): 60 ms each. A raw tracepoint has neither: docs/decisions/0008. */
#include "emit.bpf.h"
#include "slots.bpf.h"

SEC("raw_tp/sys_enter")
int syscalls__enter(struct call_enters *ctx)
{
	if (is_compat())
		return 0;
	bpf_tail_call(ctx, &syscall_enter, ctx->nr);
	/* Nothing there: a first one that the kernel refused does not call on. */
	return next_at_entry(ctx);
}

SEC("raw_tp/sys_exit")
int syscalls__exit(struct call_exits *ctx)
{
	__u32 nr;

	if (is_compat())
		return 0;
	nr = number_of_ending_call(ctx);
	bpf_tail_call(ctx, &syscall_exit, nr);
	bpf_tail_call(ctx, &syscall_exit_more, nr);
	return 0;
}
