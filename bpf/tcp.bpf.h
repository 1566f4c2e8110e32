/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP connections, for the programs of every tier. */
#pragma once
#include "socket.bpf.h"

/* See state_changes(). */
struct state_scratch {
	struct net_connection connection;
	volatile __u64 busy;
};

SHARED_SCRATCH(connection_scratch, struct state_scratch);
SHARED_SCRATCH(endpoint_scratch, struct net_endpoint);
/* The same for the programs that can be preempted by, or preempt, those of the tracepoint. */
SHARED_SCRATCH(accept_scratch, struct net_connection);
SHARED_SCRATCH(bind_scratch, struct net_endpoint);

/* In the place of a copy's number: a program with a row of its own. */
#define OF_ACCEPT COPIES
#define OF_RECEIVED (COPIES + 1)
#define OF_BIND COPIES
#define OF_BIND6 (COPIES + 1)
#define OF_BIND_MPTCP (COPIES + 2)

static __always_inline void *row_of(void *of_copies, void *of_others, const int copy)
{
	return copy < COPIES ? scratch_of(of_copies, copy) : scratch_of(of_others, copy - COPIES);
}

/* Connections in scope, by socket: the record that is told next, as far as it is known. An entry goes when its
 * connection ends, or is overwritten when the kernel gives the memory to another connection. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, struct net_connection);
} connections __weak SEC(".maps");

/* The TCP socket that carries the data: of an MPTCP socket, its first subflow. */
static __always_inline struct sock *tcp_of(struct sock *sk)
{
	__u32 protocol = protocol_of(sk);

	if (protocol == IPPROTO_MPTCP && bpf_core_type_exists(struct mptcp_sock))
		sk = READ((struct mptcp_sock *)sk, first);
	else if (protocol != IPPROTO_TCP)
		return NULL;
	return sk;
}

static __always_inline __u32 socket_flags(struct sock *sk)
{
	struct tcp_sock *tp = (void *)sk;

	if (bpf_core_field_exists(struct tcp_sock, is_mptcp) && READ(tp, is_mptcp))
		return WIRE_SOCKET_MPTCP;
	return 0;
}

/* Addresses and ports as the socket has them now. */
static __always_inline void fill_ends(struct net_connection *rec, struct sock *sk)
{
	if (rec->direction == WIRE_INGRESS) {
		rec->source_port = put_remote(rec->source_ip, sk);
		rec->destination_port = put_local(rec->destination_ip, sk);
	} else {
		rec->source_port = put_local(rec->source_ip, sk);
		rec->destination_port = put_remote(rec->destination_ip, sk);
	}
	rec->ip_version = version_of(rec->destination_ip);
}

/* The connection, made or taken by the current task, in a scratch; returns what begin_cgroup() does. */
static __always_inline __u32 put_connection(struct net_connection *rec, struct sock *sk, __u64 cookie, __u32 direction,
					    __u32 phase)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (!rec)
		return 0;
	__builtin_memset(rec, 0, sizeof(*rec));
	rec->hdr.time_ns = bpf_ktime_get_boot_ns();
	fill_task(&rec->task, task, false);
	rec->cookie = cookie;
	rec->start_ns = direction ? rec->hdr.time_ns : 0;
	rec->netns = netns_of(sk);
	rec->family = READ(sk, __sk_common.skc_family);
	rec->transport = IPPROTO_TCP;
	rec->flags = socket_flags(sk);
	rec->direction = direction;
	rec->phase = phase;
	return begin_cgroup(&rec->hdr, &rec->task, task);
}

GLOBAL __u32 make_connection(__u32 copy, __u64 socket, __u64 cookie, __u32 direction, __u32 phase)
{
	return put_connection(scratch_of(&connection_scratch, copy), (void *)socket, cookie, direction, phase);
}

GLOBAL __u32 make_accepted(__u32 copy, __u64 socket, __u64 cookie, __u32 direction, __u32 phase)
{
	return put_connection(scratch_of(&accept_scratch, copy), (void *)socket, cookie, direction, phase);
}

/* The same in the program's own scratch. */
static __always_inline struct net_connection *new_connection(void *ctx, struct sock *sk, __u64 cookie, __u8 direction,
							     __u8 phase, const int copy)
{
	struct net_connection *rec = row_of(&connection_scratch, &accept_scratch, copy);
	__u32 cgroup;

	if (!rec)
		return NULL;
	cgroup = copy < COPIES ? make_connection(copy, (__u64)sk, cookie, direction, phase)
			       : make_accepted(copy - COPIES, (__u64)sk, cookie, direction, phase);
	end_cgroup(ctx, &rec->hdr, &rec->task, (void *)bpf_get_current_task(), cgroup);
	return rec;
}

/* What is known of it stays; the current task is the one to tell from now on. */
static __always_inline void change_owner(void *ctx, struct net_connection *known, struct sock *sk, const int copy)
{
	struct net_connection *rec = new_connection(ctx, sk, 0, 0, 0, copy);

	if (rec)
		bpf_probe_read_kernel(known, offsetof(struct net_connection, cookie), rec);
}

static __always_inline void remember(struct sock *sk, struct net_connection *rec)
{
	__u64 key = (__u64)sk;
#ifdef NIGHTJAR_LEGACY /* a map's value comes from the stack before 4.18 */
	struct net_connection copy;
	long failed;

	bpf_probe_read(&copy, sizeof(copy), rec);
	failed = bpf_map_update_elem(&connections, &key, &copy, BPF_ANY);
#else
	long failed = bpf_map_update_elem(&connections, &key, rec, BPF_ANY);
#endif

	if (failed)
		count_loss(WIRE_CONNECTIONS_FULL, rec->hdr.time_ns);
}

/* False: it is not to be sent. */
static __always_inline bool begin_connection(struct net_connection *rec, __u16 kind)
{
	__u32 incomplete = rec->hdr.incomplete;

	/* The one who acts need not be the current task. */
	if (held_back(kind, scalar_drop_record(kind, &rec->task, rec->source_port, rec->destination_port)) ||
	    held_back(kind, over_limit(kind, rec->task.pid, rec->task.start_ns)) || !begin_unasked(&rec->hdr, kind))
		return false;
	rec->hdr.incomplete = incomplete;
	return true;
}

static __always_inline void send_connection(void *ctx, struct net_connection *rec, bool begun)
{
	if (begun)
		send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
}

static __always_inline __u64 since(__u64 start_ns)
{
	return start_ns ? bpf_ktime_get_boot_ns() - start_ns : WIRE_NOT_COUNTED;
}

/* ---- connect ---- */

static __always_inline int connect_begins(void *ctx, struct sock *sk, struct sock *typed, const int copy)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net_connection *rec;

	if (already_done(READ(task, pid), WIRE_NET_CONNECT, copy) || !in_scope(task, false))
		return 0;
	mark_done(READ(task, pid), WIRE_NET_CONNECT, copy);
	rec = new_connection(ctx, sk, cookie_of(sk, typed), WIRE_EGRESS, WIRE_CONNECTING, copy);
	if (rec)
		remember(sk, rec);
	return 0;
}

static __always_inline bool make_connect(struct net_connection *rec, struct sock *sk, int state, int error)
{
	fill_ends(rec, sk);
	not_counted(rec);
	rec->duration_ns = since(rec->start_ns);
	rec->state = state;
	rec->error = error;
	rec->phase = WIRE_CONNECTED;
	return begin_connection(rec, WIRE_NET_CONNECT);
}

#ifdef NIGHTJAR_LEGACY
static __always_inline int connect_ends(void *ctx, struct net_connection *rec, struct sock *sk, int state, int error)
{
	send_connection(ctx, rec, make_connect(rec, sk, state, error));
	return 0;
}
#else
__weak __noinline int make_connect_of(__u64 socket, int state, int error)
{
	struct net_connection *rec = bpf_map_lookup_elem(&connections, &socket);

	return rec && make_connect(rec, (void *)socket, state, error);
}

/* `rec` is the one in the map. */
static __always_inline int connect_ends(void *ctx, struct net_connection *rec, struct sock *sk, int state, int error)
{
	send_connection(ctx, rec, make_connect_of((__u64)sk, state, error));
	return 0;
}
#endif

/* ---- close ---- */

static __always_inline bool make_close(struct net_connection *rec, struct sock *sk, __u64 cookie, int state, int error)
{
	struct tcp_traffic traffic = tcp_traffic(sk);
	bool ingress = rec->direction == WIRE_INGRESS;

	fill_ends(rec, sk);
	if (!rec->cookie)
		rec->cookie = cookie;
	rec->duration_ns = since(rec->start_ns);
	rec->source_bytes = ingress ? traffic.received : traffic.sent;
	rec->destination_bytes = ingress ? traffic.sent : traffic.received;
	rec->source_packets = ingress ? traffic.packets_in : traffic.packets_out;
	rec->destination_packets = ingress ? traffic.packets_out : traffic.packets_in;
	rec->state = state;
	rec->error = error;
	return begin_connection(rec, WIRE_NET_CLOSE);
}

#ifdef NIGHTJAR_LEGACY
static __always_inline int connection_ends(void *ctx, struct net_connection *rec, struct sock *sk, __u64 cookie,
					   int state, int error)
{
	send_connection(ctx, rec, make_close(rec, sk, cookie, state, error));
	return 0;
}
#else
__weak __noinline int make_close_of(__u64 socket, __u64 cookie, int state, int error)
{
	struct net_connection *rec = bpf_map_lookup_elem(&connections, &socket);

	return rec && make_close(rec, (void *)socket, cookie, state, error);
}

/* `rec` is the one in the map. */
static __always_inline int connection_ends(void *ctx, struct net_connection *rec, struct sock *sk, __u64 cookie,
					   int state, int error)
{
	send_connection(ctx, rec, make_close_of((__u64)sk, cookie, state, error));
	return 0;
}
#endif

/* The current task closes, or shuts down, the socket: from now on it is the one to tell, also if it got the socket by
 * fork or through a unix socket. One that is not known was there before the sensor, or came from out of scope. */
static __always_inline struct net_connection *closed_by_task(void *ctx, struct sock *sk, struct net_connection *rec,
							     struct sock *typed, const int copy)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 key = (__u64)sk;

	if ((READ(task, flags) & PF_KTHREAD) || !in_scope(task, false))
		return rec;
	if (rec) {
		if (rec->task.pid != (__u32)READ(task, tgid))
			change_owner(ctx, rec, sk, copy);
		return rec;
	}
	rec = new_connection(ctx, sk, cookie_of(sk, typed), 0, WIRE_CONNECTED, copy);
	if (!rec)
		return NULL;
	remember(sk, rec);
	return bpf_map_lookup_elem(&connections, &key);
}

static __always_inline int ends(void *ctx, struct sock *sk, struct net_connection *rec, int before, struct sock *typed,
				const int copy)
{
	__u64 key = (__u64)sk;
	int error = READ(sk, sk_err);

	if (before == TCP_CLOSE || before == TCP_LISTEN)
		return 0;
	/* A connection that ends at once, without an error, is ended by close(2): unread data, or no lingering. */
	if (!error && (before == TCP_ESTABLISHED || before == TCP_CLOSE_WAIT)) {
		struct task_struct *task = (void *)bpf_get_current_task();

		if (already_done(READ(task, pid), WIRE_NET_CLOSE, copy))
			return 0;
		mark_done(READ(task, pid), WIRE_NET_CLOSE, copy);
		rec = closed_by_task(ctx, sk, rec, typed, copy);
	}
	if (!rec)
		return 0;
	if (rec->phase == WIRE_CONNECTING)
		connect_ends(ctx, rec, sk, TCP_CLOSE, error);
	else
		connection_ends(ctx, rec, sk, cookie_of(sk, typed), before, error);
	bpf_map_delete_elem(&connections, &key);
	return 0;
}

/* ---- listen ---- */

/* Returns what begin_cgroup() does; -1: there is no record. */
static __always_inline int put_endpoint(struct net_endpoint *rec, struct sock *sk, __u64 cookie, __u32 kind)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (!rec || !begin_record(&rec->hdr, kind))
		return -1;
	fill_task(&rec->task, task, false);
	rec->cookie = cookie;
	rec->port = put_local(rec->ip, sk);
	rec->netns = netns_of(sk);
	rec->family = READ(sk, __sk_common.skc_family);
	rec->transport = protocol_of(sk);
	rec->flags = rec->transport == IPPROTO_TCP ? socket_flags(sk) : 0;
	rec->ip_version = version_of(rec->ip);
	return begin_cgroup(&rec->hdr, &rec->task, task);
}

GLOBAL int make_listen(__u32 copy, __u64 socket, __u64 cookie)
{
	return put_endpoint(scratch_of(&endpoint_scratch, copy), (void *)socket, cookie, WIRE_NET_LISTEN);
}

GLOBAL int make_bind(__u32 copy, __u64 socket, __u64 cookie)
{
	return put_endpoint(scratch_of(&bind_scratch, copy), (void *)socket, cookie, WIRE_NET_BIND);
}

static __always_inline int send_endpoint(void *ctx, struct sock *sk, __u64 cookie, __u16 kind, const int copy)
{
	struct net_endpoint *rec = row_of(&endpoint_scratch, &bind_scratch, copy);
	int cgroup = kind == WIRE_NET_LISTEN ? make_listen(copy, (__u64)sk, cookie)
					     : make_bind(copy - COPIES, (__u64)sk, cookie);

	if (!rec || cgroup < 0)
		return 0;
	end_cgroup(ctx, &rec->hdr, &rec->task, (void *)bpf_get_current_task(), cgroup);
	send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
	return 0;
}

static __always_inline int listen_body(void *ctx, struct sock *sk, struct sock *typed, const int copy)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (already_done(READ(task, pid), WIRE_NET_LISTEN, copy) || !in_scope(task, false))
		return 0;
	mark_done(READ(task, pid), WIRE_NET_LISTEN, copy);
	return send_endpoint(ctx, sk, cookie_of(sk, typed), WIRE_NET_LISTEN, copy);
}

/* ---- inet_sock_set_state(sk, before, after) ---- */

static __always_inline int state_body(void *ctx, struct sock *sk, int before, int after, struct sock *typed,
				      const int copy)
{
	struct net_connection *rec;
	__u64 key = (__u64)sk;

	switch (after) {
	case TCP_SYN_SENT:
		return connect_begins(ctx, sk, typed, copy);
	case TCP_LISTEN:
		return listen_body(ctx, sk, typed, copy);
	case TCP_ESTABLISHED:
		rec = bpf_map_lookup_elem(&connections, &key);
		/* One that nobody in scope made; or what another copy of this program has told. */
		if (!rec || rec->phase != WIRE_CONNECTING)
			return 0;
		return connect_ends(ctx, rec, sk, TCP_ESTABLISHED, 0);
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK:
		closed_by_task(ctx, sk, bpf_map_lookup_elem(&connections, &key), typed, copy);
		return 0;
	case TCP_CLOSE:
		return ends(ctx, sk, bpf_map_lookup_elem(&connections, &key), before, typed, copy);
	}
	return 0;
}

/* While a task changes a socket's state, an interrupt may change that of another: a second run of the same program on
 * the same CPU. Since Linux kernel commit 05b24ff9b2cf ("bpf: Prevent bpf program recursion for raw tracepoint probes")
 * (in v6.2) the kernel skips it; before, it would overwrite the first one's scratch. So the program has one stand-in on
 * every kernel, which acts if, and only if, the first is being run on this CPU: what interrupts ends before what it
 * interrupted, hence exactly one of the two acts for each change. (Where tasks preempt each other here, since 7.0, that
 * does not hold, and the marks of turn.bpf.h tell.) */
static __always_inline int state_changes(void *ctx, struct sock *sk, int before, int after, struct sock *typed,
					 const int copy)
{
	struct state_scratch *own = scratch_of(&connection_scratch, copy);
	struct state_scratch *first = scratch_of(&connection_scratch, 0);

	if (!own || !first || protocol_of(sk) != IPPROTO_TCP)
		return 0;
	if (stand_ins)
		return state_body(ctx, sk, before, after, typed, copy);
	if (first->busy != (__u64)copy)
		return 0;
	own->busy = 1;
	state_body(ctx, sk, before, after, typed, copy);
	own->busy = 0;
	return 0;
}

/* ---- accept: the current task gets a socket for a connection ---- */

static __always_inline int accept_body(void *ctx, struct sock *sk, struct sock *typed)
{
	struct net_connection *rec;
	__u64 key, cookie;

	if (!is_internet(sk))
		return 0;
	cookie = cookie_of(sk, typed);
	sk = tcp_of(sk);
	if (!sk)
		return 0;
	rec = new_connection(ctx, sk, cookie, WIRE_INGRESS, WIRE_CONNECTED, OF_ACCEPT);
	if (!rec)
		return 0;
	remember(sk, rec);
	key = (__u64)sk;
	rec->state = READ(sk, __sk_common.skc_state);
	rec->duration_ns = WIRE_NOT_COUNTED;
	not_counted(rec);
	fill_ends(rec, sk);
	send_connection(ctx, rec, begin_connection(rec, WIRE_NET_ACCEPT));
	/* It was cut off while it waited to be accepted: its end was not told, since nobody had it. */
	if (rec->state == TCP_CLOSE) {
		rec = bpf_map_lookup_elem(&connections, &key);
		if (rec)
			connection_ends(ctx, rec, sk, cookie, TCP_CLOSE, READ(sk, sk_err));
		bpf_map_delete_elem(&connections, &key);
	}
	return 0;
}
