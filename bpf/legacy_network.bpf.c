/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The legacy tier: TCP. */
#define NIGHTJAR_LEGACY
#include "tcp.bpf.h"
#include <asm/ptrace.h>
#include <bpf/bpf_tracing.h>

/* tracefs: events/sock/inet_sock_set_state/format; Linux kernel commit 563e0bb0dc74 ("net: tracepoint: replace
 * tcp_set_state tracepoint with inet_sock_set_state tracepoint") (in v4.16). */
struct inet_sock_set_state_ctx {
	__u64 common;
	__u64 socket;
	__s32 before, after;
};

/* The current task makes or ends the connection. One place for all, since what describes the task takes half of the
 * instructions that a program may have. */
static __always_inline struct net_connection *owned(void *ctx, struct sock *sk, struct net_connection *known,
						    bool begins)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 key = (__u64)sk;
	struct net_connection *rec;

	if ((READ(task, flags) & PF_KTHREAD) || !in_scope(task, false))
		return known;
	if (known && !begins && known->task.pid == (__u32)READ(task, tgid))
		return known;
	rec = new_connection(ctx, sk, cookie_of(sk, NULL), begins ? WIRE_EGRESS : 0,
			     begins ? WIRE_CONNECTING : WIRE_CONNECTED, 0);
	if (!rec)
		return known;
	if (known && !begins) { /* that of another process: only its owner is new */
		bpf_probe_read(known, offsetof(struct net_connection, cookie), rec);
		return known;
	}
	remember(sk, rec);
	return bpf_map_lookup_elem(&connections, &key);
}

/* As state_body (tcp.bpf.h), but for listen. */
static __always_inline int legacy_state(void *ctx, struct sock *sk, int before, int after)
{
	int error = READ(sk, sk_err);
	bool was_open = before == TCP_ESTABLISHED || before == TCP_CLOSE_WAIT;
	bool begins = after == TCP_SYN_SENT;
	struct net_connection *rec;
	__u64 key = (__u64)sk;

	if (protocol_of(sk) != IPPROTO_TCP)
		return 0;
	rec = bpf_map_lookup_elem(&connections, &key);
	if (begins || after == TCP_FIN_WAIT1 || after == TCP_LAST_ACK || (after == TCP_CLOSE && was_open && !error))
		rec = owned(ctx, sk, rec, begins);
	if (!rec || (after != TCP_ESTABLISHED && after != TCP_CLOSE) || before == TCP_CLOSE || before == TCP_LISTEN)
		return 0;
	if (rec->phase == WIRE_CONNECTING)
		connect_ends(ctx, rec, sk, after, after == TCP_CLOSE ? error : 0);
	else if (after == TCP_CLOSE)
		connection_ends(ctx, rec, sk, cookie_of(sk, NULL), before, error);
	if (after == TCP_CLOSE)
		bpf_map_delete_elem(&connections, &key);
	return 0;
}

SEC("tracepoint/sock/inet_sock_set_state")
int net_state__legacy(struct inet_sock_set_state_ctx *ctx)
{
	return legacy_state(ctx, (void *)ctx->socket, ctx->before, ctx->after);
}

SEC("tracepoint/sock/inet_sock_set_state")
int net_listen__legacy(struct inet_sock_set_state_ctx *ctx)
{
	struct sock *sk = (void *)ctx->socket;

	return ctx->after == TCP_LISTEN && protocol_of(sk) == IPPROTO_TCP ? listen_body(ctx, sk, NULL, 0) : 0;
}

/* tcp_set_state(sk, state): where there is no such tracepoint. Sockets begin to listen without it. */
SEC("kprobe/tcp_set_state")
int net_state_call__legacy(struct pt_regs *ctx)
{
	struct sock *sk = (void *)PT_REGS_PARM1(ctx);

	return legacy_state(ctx, sk, READ(sk, __sk_common.skc_state), PT_REGS_PARM2(ctx));
}

SEC("kprobe/security_sock_graft")
int net_accept__legacy(struct pt_regs *ctx)
{
	return in_scope((void *)bpf_get_current_task(), false) ? accept_body(ctx, (void *)PT_REGS_PARM1(ctx), NULL) : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
