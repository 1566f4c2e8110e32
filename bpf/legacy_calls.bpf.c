/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The legacy tier: unshare, setns and ptrace, by the tracepoints of their system calls. Programs on these work
 * from 4.14 on: Linux kernel commit cf5f5cea2706 ("bpf: add support for sys_enter_* and sys_exit_* tracepoints"). */
#define NIGHTJAR_LEGACY
#include "namespace_change.bpf.h"
#include "ptrace.bpf.h"

/* include/trace/trace_events.h, the part that user space can rely on (tracefs: events/syscalls/NAME/format) */
struct sys_enter_ctx {
	__u64 common;
	__s64 nr;
	__u64 args[6];
};
struct sys_exit_ctx {
	__u64 common;
	__s64 nr;
	__s64 ret;
};

SEC("tracepoint/syscalls/sys_exit_unshare")
int namespace_unshare__legacy(struct sys_exit_ctx *ctx)
{
	change_ends(ctx, WIRE_UNSHARE, ctx->ret);
	LAST;
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_unshare")
int namespace_unshare__legacy_enter(struct sys_enter_ctx *ctx)
{
	return change_begins(WIRE_UNSHARE, ctx->args[0]);
}

SEC("tracepoint/syscalls/sys_exit_setns")
int namespace_setns__legacy(struct sys_exit_ctx *ctx)
{
	change_ends(ctx, WIRE_SETNS, ctx->ret);
	LAST;
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_setns")
int namespace_setns__legacy_enter(struct sys_enter_ctx *ctx)
{
	return change_begins(WIRE_SETNS, (__u32)ctx->args[1]);
}

/* ptrace(request, pid, address, data). The target's task is learnt on the way: [4] of the call's arguments. */
SEC("tracepoint/syscalls/sys_enter_ptrace")
int memory_ptrace__legacy_enter(struct sys_enter_ctx *ctx)
{
	return keep_call(WIRE_PTRACE, ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3], 0, 0);
}

static __always_inline int note_target(__u64 task)
{
	__u64 key = call_key(WIRE_PTRACE);
	struct call *call = bpf_map_lookup_elem(&calls, &key);

	if (call)
		call->args[4] = task;
	return 0;
}

/* arch_ptrace(child, request, address, data) */
SEC("kprobe/arch_ptrace")
int memory_ptrace__legacy_target_more(struct pt_regs *ctx)
{
	return note_target(PT_REGS_PARM1(ctx));
}

/* __ptrace_link(child, tracer, credentials): a tracing begins. */
SEC("kprobe/__ptrace_link")
int memory_ptrace__legacy_link_more(struct pt_regs *ctx)
{
	return note_target(PT_REGS_PARM1(ctx));
}

SEC("tracepoint/syscalls/sys_exit_ptrace")
int memory_ptrace__legacy(struct sys_exit_ctx *ctx)
{
	struct call call;
	long ret = ctx->ret;
	__u64 target;

	if (!take_call(WIRE_PTRACE, &call) || is_error(ret) || is_routine(call.args[0]))
		return 0;
	target = bpf_get_current_task();
	if (call.args[0] != PTRACE_TRACEME)
		target = call.args[4];
	opaque(target);
	tell_ptrace(ctx, (void *)target, call.args[1], call.args[0], call.args[2]);
	LAST;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
