/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The slots of system calls, by number: what syscalls.bpf.c calls, and, where two programs want one call, what the
 * first of them calls when it is done. A program that calls on never stands in a second slot itself (SyscallDispatch).
 */
#pragma once
#include "syscall.bpf.h"

#define SLOTS(map_name)                                \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY); \
		__uint(max_entries, 512);              \
		__type(key, __u32);                    \
		__type(value, __u32);                  \
	} map_name __weak SEC(".maps")

SLOTS(syscall_enter);
SLOTS(syscall_enter_more);
SLOTS(syscall_exit);
SLOTS(syscall_exit_more);

/* The end of a program that calls on. */
static __always_inline int next_at_entry(struct call_enters *ctx)
{
	bpf_tail_call(ctx, &syscall_enter_more, ctx->nr);
	return 0;
}
static __always_inline int next_at_end(struct call_exits *ctx)
{
	bpf_tail_call(ctx, &syscall_exit_more, number_of_ending_call(ctx));
	return 0;
}
