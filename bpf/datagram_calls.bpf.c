/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* UDP where only tracepoints can be hooked: sock_send_length and sock_recv_length (6.4) say how much went through which
 * socket. Where to, and where from, is the socket's peer, or what the system call's arguments say; those of io_uring
 * and of 32-bit programs are not seen, nor who sent what a call receives without asking: such flows have no remote end.
 * */
#include "datagram.bpf.h"
#include "syscall.bpf.h"

/* The exits of the calls that receive; nothing preempts these, there is no IPv6 of its own here. */
#define OF_ENDED_CALL OF_SEND6

struct user_slice {
	__u64 start, size;
};

/* A thread's call that sends or receives with an address of its own; pointers are the process's. */
struct message_call {
	__u64 fd;
	__u64 address;  /* of the sockaddr; 0: the socket's peer */
	__u64 messages; /* of sendmmsg: the vector */
	__u32 count;    /* its messages */
	__u32 next;
	__u32 direction;
	__u32 pad0;
	struct user_slice data;
	__u64 received; /* bytes, which wait for the call's end to be counted */
	__u64 sk;       /* that received them; 0: none */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct message_call);
} message_calls SEC(".maps");

/* struct user_msghdr, struct iovec and struct mmsghdr of 64-bit programs (ABI) */
struct user_message {
	__u64 name, name_len;
	__u64 iov, iov_len;
	__u64 control, control_len;
	__u64 flags;
};
#define MMSG_STRIDE 64

static __always_inline void read_message(struct message_call *call, __u64 at)
{
	struct user_message message = {};

	call->address = 0;
	call->data.start = 0;
	call->data.size = 0;
	if (bpf_probe_read_user(&message, sizeof(message), (void *)at))
		return;
	call->address = message.name;
	/* A DNS message of more parts than one is told incomplete. */
	if (message.iov_len)
		bpf_probe_read_user(&call->data, sizeof(call->data), (void *)message.iov);
}

/* The remote end: of the socket, or as the process gave it or was given. */
static __always_inline void fill_remote(struct datagram *d, struct sock *sk, __u64 address)
{
	__u16 family = 0, port = 0;
	__u32 v4 = 0;

	d->remote_port = put_remote(d->remote, sk);
	if (!address || bpf_probe_read_user(&family, sizeof(family), (void *)address))
		return;
	bpf_probe_read_user(&port, sizeof(port), (void *)address + 2);
	if (family == AF_INET6) {
		bpf_probe_read_user(d->remote, 16, (void *)address + 8);
	} else if (family == AF_INET) {
		bpf_probe_read_user(&v4, sizeof(v4), (void *)address + 4);
		put_ipv4(d->remote, v4);
	} else {
		return;
	}
	d->remote_port = bpf_ntohs(port);
}

static __always_inline void count_message(void *ctx, struct sock *sk, __u64 cookie, __u32 direction, __u64 bytes,
					  __u64 address, struct user_slice data, const int copy)
{
	struct net_connection *flow;
	struct datagram d = {};

	d.sk = sk;
	d.cookie = cookie;
	d.socket = cookie ? cookie : (__u64)sk;
	d.bytes = bytes;
	d.packets = 1;
	d.direction = direction;
	d.local_port = put_local(d.local, sk);
	fill_remote(&d, sk, address);
	if (version_of(d.remote) == 4 && !*(__u64 *)d.local && !*(__u64 *)(d.local + 8))
		put_ipv4(d.local, 0); /* bound to any address of IPv6, used with IPv4 */
	flow = count_datagram(ctx, &d, copy);
	if (flow && may_be_dns(&d) && data.start)
		tell_dns(ctx, flow, direction, (void *)data.start, bytes, true, copy);
}

/* The call that the current thread is in, if it is one on this socket. */
static __always_inline struct message_call *call_on(struct sock *sk, __u32 direction)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct message_call *call = bpf_map_lookup_elem(&message_calls, &id);

	return call && call->direction == direction && sock_of_descriptor(call->fd) == sk ? call : NULL;
}

static __always_inline bool is_udp(struct sock *sk)
{
	return protocol_of(sk) == IPPROTO_UDP && is_internet(sk);
}

static __always_inline int sent_length(void *ctx, struct sock *sk, int result, __u64 cookie, const int copy)
{
	struct user_slice data = {};
	struct message_call *call;
	__u64 address = 0;

	call = call_on(sk, WIRE_EGRESS);
	if (call && call->next < call->count) {
		if (call->messages)
			read_message(call, call->messages + call->next * MMSG_STRIDE);
		call->next++;
		address = call->address;
		data = call->data;
	}
	if (result >= 0)
		count_message(ctx, sk, cookie, WIRE_EGRESS, result, address, data, copy);
	return 0;
}

static __always_inline int received_length(void *ctx, struct sock *sk, int result, __u64 cookie, const int copy)
{
	struct user_slice none = {};
	struct message_call *call;

	call = call_on(sk, WIRE_INGRESS);
	if (!call) {
		count_message(ctx, sk, cookie, WIRE_INGRESS, result, 0, none, copy);
		return 0;
	}
	call->received = result;
	call->sk = (__u64)sk;
	return 0;
}

static __always_inline int call_starts(__u32 direction, __u64 fd, __u64 address, struct user_slice data, __u64 messages,
				       __u32 count)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct message_call call = {
		.fd = fd,
		.address = address,
		.messages = messages,
		.count = count,
		.direction = direction,
		.data = data,
	};

	if (in_scope((void *)bpf_get_current_task(), false))
		bpf_map_update_elem(&message_calls, &id, &call, BPF_ANY);
	return 0;
}

/* What was received, now that the address and the data lie in the process. */
static __always_inline int receive_ends(void *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct message_call *known = bpf_map_lookup_elem(&message_calls, &id);
	struct message_call call;
	struct sock *sk;

	if (!known)
		return 0;
	call = *known;
	bpf_map_delete_elem(&message_calls, &id);
	sk = (void *)call.sk;
	if (sk)
		count_message(ctx, sk, cookie_of(sk, NULL), WIRE_INGRESS, call.received, call.address, call.data,
			      OF_ENDED_CALL);
	return 0;
}

/* One look at the scope each; the socket's cookie comes from where BTF says what the pointer is. */
SEC("tp_btf/sock_send_length")
int udp_send__length(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];

	if (!in_scope((void *)bpf_get_current_task(), false) || !is_udp(sk))
		return 0;
	return sent_length(ctx, sk, ctx[1], bpf_get_socket_cookie(sk), OF_SEND);
}

SEC("tp_btf/sock_recv_length")
int udp_receive__length(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];

	if (!in_scope((void *)bpf_get_current_task(), false) || !is_udp(sk))
		return 0;
	if ((int)ctx[1] < 0 || (ctx[2] & MSG_PEEK))
		return 0;
	return received_length(ctx, sk, ctx[1], bpf_get_socket_cookie(sk), OF_RECEIVE);
}

static __always_inline int data_call_starts(__u32 direction, struct call_enters *ctx)
{
	struct arguments arguments = arguments_of(ctx->registers);
	struct user_slice data = { arguments.args[1], arguments.args[2] };

	return call_starts(direction, arguments.args[0], arguments.args[4], data, 0, 1);
}

SEC("raw_tp/syscalls/sys_enter_sendto")
int udp_call__enter_sendto(struct call_enters *ctx)
{
	return data_call_starts(WIRE_EGRESS, ctx);
}

SEC("raw_tp/syscalls/sys_enter_recvfrom")
int udp_call__enter_recvfrom(struct call_enters *ctx)
{
	return data_call_starts(WIRE_INGRESS, ctx);
}

/* `many`: the third argument says how many messages. */
static __always_inline int message_call_starts(__u32 direction, struct call_enters *ctx, const bool many)
{
	struct arguments arguments = arguments_of(ctx->registers);
	struct user_slice none = {};

	return call_starts(direction, arguments.args[0], 0, none, arguments.args[1], many ? arguments.args[2] : 1);
}

SEC("raw_tp/syscalls/sys_enter_sendmsg")
int udp_call__enter_sendmsg(struct call_enters *ctx)
{
	return message_call_starts(WIRE_EGRESS, ctx, false);
}

SEC("raw_tp/syscalls/sys_enter_sendmmsg")
int udp_call__enter_sendmmsg(struct call_enters *ctx)
{
	return message_call_starts(WIRE_EGRESS, ctx, true);
}

SEC("raw_tp/syscalls/sys_enter_recvmsg")
int udp_call__enter_recvmsg(struct call_enters *ctx)
{
	return message_call_starts(WIRE_INGRESS, ctx, false);
}

SEC("raw_tp/syscalls/sys_exit_recvfrom")
int udp_call__exit_recvfrom(struct call_exits *ctx)
{
	return receive_ends(ctx);
}

SEC("raw_tp/syscalls/sys_exit_recvmsg")
int udp_call__exit_recvmsg(struct call_exits *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct message_call *call = bpf_map_lookup_elem(&message_calls, &id);

	if (call && call->messages)
		read_message(call, call->messages);
	return receive_ends(ctx);
}
