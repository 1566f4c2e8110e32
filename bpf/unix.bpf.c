/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* unix_connect: a process connects to a listening unix socket. */
#include "socket.bpf.h"
#include "syscall.bpf.h"
#include <bpf/bpf_tracing.h>

SCRATCH(unix_scratch, struct net_unix);

/* `with_peer` holds the listener's credentials, `named` its name. */
static __always_inline int unix_connect_body(void *ctx, struct sock *sk, struct sock *with_peer, struct sock *named,
					     __u64 cookie)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net_unix *rec = scratch_of(&unix_scratch, 0);
	struct unix_address *address;
	const struct cred *peer;
	struct pid *pid;
	__u64 len;

	if (!rec || !begin_record(&rec->hdr, WIRE_UNIX_CONNECT))
		return 0;
	fill_task(&rec->task, task, false);
	fill_cgroup(ctx, &rec->hdr, &rec->task, task);
	rec->cookie = cookie;
	rec->netns = netns_of(sk);
	rec->type = BPF_CORE_READ_BITFIELD_PROBED(sk, sk_type);
	pid = READ(with_peer, sk_peer_pid);
	peer = READ(with_peer, sk_peer_cred);
	rec->peer_pid = pid ? READ(pid, numbers[0].nr) : 0;
	rec->peer_uid = READ(peer, euid.val);
	rec->peer_gid = READ(peer, egid.val);
	__builtin_memset(rec->path, 0, sizeof(rec->path) + sizeof(rec->pad0));
	address = READ((struct unix_sock *)named, addr);
	len = READ(address, len) - sizeof(__u16); /* a name of no address is 0 - 2 bytes long: too long */
	opaque(len);
	rec->path_bytes = 0;
	if (len > UNIX_PATH_BYTES)
		len = 0;
	opaque(len); /* else both tests become one of a copy, which older verifiers do not see */
	if (len && !bpf_probe_read_kernel(rec->path, len,
					  (void *)address + bpf_core_field_offset(struct unix_address, name) +
						  sizeof(__u16))) /* the family */
		rec->path_bytes = len;
	send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
	return 0;
}

/* security_unix_stream_connect(sock, other, newsk): the last thing that can refuse it. */
SEC("fentry/security_unix_stream_connect")
int unix_connect__fentry(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];

	struct sock *other = (void *)ctx[1];

	if (!in_scope((void *)bpf_get_current_task(), false))
		return 0;
	return unix_connect_body(ctx, sk, other, other, cookie_of(sk, NULL));
}

SEC("kprobe/security_unix_stream_connect")
int unix_connect__kprobe(struct pt_regs *ctx)
{
	struct sock *sk = (void *)PT_REGS_PARM1(ctx);

	struct sock *other = (void *)PT_REGS_PARM2(ctx);

	if (!in_scope((void *)bpf_get_current_task(), false))
		return 0;
	return unix_connect_body(ctx, sk, other, other, cookie_of(sk, NULL));
}

SEC("raw_tp/syscalls/sys_enter_connect")
int unix_connect__enter_connect(struct call_enters *ctx)
{
	call_begins(SYSCALL_PARM1(ctx->registers));
	return 0;
}

/* A client that is connected holds the server's end, which has the listener's name, and the listener's credentials. */
SEC("raw_tp/syscalls/sys_exit_connect")
int unix_connect__exit_connect(struct call_exits *ctx)
{
	struct sock *sk, *peer;
	__u64 fd;

	if (!call_ends(&fd) || ctx->ret)
		return 0;
	sk = sock_of_descriptor(fd);
	if (!sk || READ(sk, __sk_common.skc_family) != AF_UNIX)
		return 0;
	peer = READ((struct unix_sock *)sk, peer);
	if (!peer || BPF_CORE_READ_BITFIELD_PROBED(sk, sk_type) == SOCK_DGRAM)
		return 0;
	return unix_connect_body(ctx, sk, sk, peer, cookie_of(sk, NULL));
}
