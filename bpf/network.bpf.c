/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP: connect, accept, close, listen; and bind.
 *
 * No program runs for a packet. Everything of a connection but its accept is a change of state, and the kernel has one
 * tracepoint for these. Most changes happen while the kernel handles a packet, in whatever task is running: whose
 * connection it is was remembered when a task connected or accepted. */
#include "syscall.bpf.h"
#include "tcp.bpf.h"
#include <bpf/bpf_tracing.h>

/* ---- bind ---- */

static __always_inline int bind_body(void *ctx, struct sock *sk, const int copy)
{
	return is_internet(sk) ? send_endpoint(ctx, sk, cookie_of(sk, NULL), WIRE_NET_BIND, copy) : 0;
}

/* A socket arrives through a unix socket: its new owner tells what happens to it. */
static __always_inline int received_body(void *ctx, struct file *file)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net_connection *rec;
	struct sock *sk;
	__u64 key;

	if (!in_scope(task, false))
		return 0;
	sk = sock_of_file(file);
	if (!sk || !is_internet(sk))
		return 0;
	sk = tcp_of(sk);
	key = (__u64)sk;
	rec = bpf_map_lookup_elem(&connections, &key);
	if (rec)
		change_owner(ctx, rec, sk, OF_RECEIVED);
	return 0;
}

/* ---- The hooks ---- */

#define PLAIN(typed) ((struct sock *)address_of((void *)(typed)))

WITH_STAND_INS("tp_btf/inet_sock_set_state", net_state__tp_btf, __u64,
	       state_changes(ctx, PLAIN(ctx[0]), ctx[1], ctx[2], (struct sock *)ctx[0], copy))
WITH_STAND_INS("raw_tp/inet_sock_set_state", net_state__raw_tp, struct bpf_raw_tracepoint_args,
	       state_changes(ctx, (void *)ctx->args[0], ctx->args[1], ctx->args[2], NULL, copy))

/* Called for every socket that accept returns, with the socket locked, by whichever way accept was called. */
SEC("fentry/security_sock_graft")
int net_accept__fentry(__u64 *ctx)
{
	return in_scope((void *)bpf_get_current_task(), false) ? accept_body(ctx, PLAIN(ctx[0]), (struct sock *)ctx[0])
							       : 0;
}

SEC("kprobe/security_sock_graft")
int net_accept__kprobe(struct pt_regs *ctx)
{
	return in_scope((void *)bpf_get_current_task(), false) ? accept_body(ctx, (void *)PT_REGS_PARM1(ctx), NULL) : 0;
}

static __always_inline int accept_call_ends(void *ctx, __s64 fd)
{
	struct sock *sk;

	if (fd < 0 || !in_scope((void *)bpf_get_current_task(), false))
		return 0;
	sk = sock_of_descriptor(fd);
	return sk ? accept_body(ctx, sk, NULL) : 0;
}

SEC("raw_tp/syscalls/sys_exit_accept")
int net_accept__exit_accept(struct call_exits *ctx)
{
	return accept_call_ends(ctx, ctx->ret);
}

SEC("raw_tp/syscalls/sys_exit_accept4")
int net_accept__exit_accept4(struct call_exits *ctx)
{
	return accept_call_ends(ctx, ctx->ret);
}

SEC("fentry/security_file_receive")
int net_received_more__fentry(__u64 *ctx)
{
	return received_body(ctx, (struct file *)ctx[0]);
}

SEC("kprobe/security_file_receive")
int net_received_more__kprobe(struct pt_regs *ctx)
{
	return received_body(ctx, (void *)PT_REGS_PARM1(ctx));
}

/* inet_bind(sock, address, length) and inet6_bind: 0 when the socket is bound. */
static __always_inline int bound(void *ctx, struct socket *socket, int result, const int copy)
{
	if (result || !in_scope((void *)bpf_get_current_task(), false))
		return 0;
	return bind_body(ctx, READ(socket, sk), copy);
}

/* mptcp_bind(sock, address, length) binds the first subflow.
 *
 * Linux kernel commit 8cf2ebdc0078 ("mptcp: mptcp: avoid additional indirection in mptcp_bind()") (in v6.6): no longer
 * through inet_bind. Before, the program's own call counts, not the one for the subflow. (Of two calls within each
 * other, the kprobes below see the inner one only.) */
static __always_inline bool is_subflow(struct socket *socket)
{
	struct sock *sk = READ(socket, sk);

	return protocol_of(sk) == IPPROTO_TCP && socket_flags(sk) == WIRE_SOCKET_MPTCP;
}

SEC("fexit/inet_bind")
int net_bind__fexit(__u64 *ctx)
{
	if (is_subflow((struct socket *)ctx[0]))
		return 0;
	return bound(ctx, (struct socket *)ctx[0], ctx[3], OF_BIND);
}

SEC("fexit/inet6_bind")
int net_bind6__fexit(__u64 *ctx)
{
	if (is_subflow((struct socket *)ctx[0]))
		return 0;
	return bound(ctx, (struct socket *)ctx[0], ctx[3], OF_BIND6);
}

SEC("fexit/mptcp_bind")
int net_bind_mptcp__fexit(__u64 *ctx)
{
	return bound(ctx, (struct socket *)ctx[0], ctx[3], OF_BIND_MPTCP);
}

SEC("kprobe/inet_bind")
int net_bind__kprobe(struct pt_regs *ctx)
{
	call_begins(PT_REGS_PARM1(ctx));
	return 0;
}

SEC("kprobe/inet6_bind")
int net_bind6__kprobe(struct pt_regs *ctx)
{
	call_begins(PT_REGS_PARM1(ctx));
	return 0;
}

SEC("kprobe/mptcp_bind")
int net_bind_mptcp__kprobe(struct pt_regs *ctx)
{
	call_begins(PT_REGS_PARM1(ctx));
	return 0;
}

static __always_inline int bind_returns(struct pt_regs *ctx)
{
	__u64 socket;

	return call_ends(&socket) ? bound(ctx, (void *)socket, PT_REGS_RC(ctx), OF_BIND) : 0;
}

SEC("kretprobe/inet_bind")
int net_bound__kretprobe(struct pt_regs *ctx)
{
	return bind_returns(ctx);
}

SEC("kretprobe/inet6_bind")
int net_bound6__kretprobe(struct pt_regs *ctx)
{
	return bind_returns(ctx);
}

SEC("kretprobe/mptcp_bind")
int net_bound_mptcp__kretprobe(struct pt_regs *ctx)
{
	return bind_returns(ctx);
}

SEC("raw_tp/syscalls/sys_enter_bind")
int net_bind__enter_bind(struct call_enters *ctx)
{
	call_begins(SYSCALL_PARM1(ctx->registers));
	return 0;
}

SEC("raw_tp/syscalls/sys_exit_bind")
int net_bind__exit_bind(struct call_exits *ctx)
{
	struct sock *sk;
	__u64 fd;

	if (!call_ends(&fd) || ctx->ret)
		return 0;
	sk = sock_of_descriptor(fd);
	return sk ? bind_body(ctx, sk, OF_BIND) : 0;
}
