/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* UDP: flows are counted here, in the kernel, and told twice: when the first datagram goes (or comes), and when user
 * space finds the flow idle or its socket gone. And DNS messages, as they are. */
#pragma once
#include "socket.bpf.h"

/* Rows of the scratch: those that send, and those that receive, can preempt each other. */
#define OF_SEND 0
#define OF_SEND6 1
#define OF_RECEIVE 2

SCRATCH(flow_scratch __weak, struct net_connection);

struct dns_scratch {
	struct net_payload rec;
	__u8 tail[DNS_BYTES];
};
SCRATCH(dns_scratch __weak, struct dns_scratch);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct wire_flow_key);
	__type(value, struct net_connection);
} flows __weak SEC(".maps");

/* The number of each UDP socket in scope, which no other socket gets: its memory is used again. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} udp_sockets __weak SEC(".maps");

/* As long as nothing changes here it need not look at the maps. */
MAPPED_ARRAY(flow_counts, 1, struct wire_flow_counts);

static __always_inline struct wire_flow_counts *counts_of_flows(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&flow_counts, &zero);
}

/* One or, segmented by the network card, several datagrams of one size. */
struct datagram {
	struct sock *sk;
	__u64 socket; /* number */
	__u64 cookie;
	__u64 bytes;
	__u32 packets;
	__u32 direction;
	__u8 local[16];
	__u8 remote[16];
	__u32 local_port, remote_port;
};

static __always_inline __u64 socket_number(struct sock *sk)
{
	__u64 key = (__u64)sk, number = bpf_ktime_get_boot_ns();
	__u64 *known = bpf_map_lookup_elem(&udp_sockets, &key);

	if (known)
		return *known;
	/* Two sockets on two CPUs at one time: the address tells them apart. */
	number ^= address_of(sk) << 24;
	if (bpf_map_update_elem(&udp_sockets, &key, &number, BPF_NOEXIST)) {
		known = bpf_map_lookup_elem(&udp_sockets, &key);
		return known ? *known : key;
	}
	return number;
}

static __always_inline void tell_first(void *ctx, struct net_connection *flow, const struct datagram *d, const int copy)
{
	struct net_connection *rec = scratch_of(&flow_scratch, copy);

	if (!rec || bpf_probe_read_kernel(rec, sizeof(*rec), flow))
		return;
	if (!begin_record(&rec->hdr, d->direction == WIRE_EGRESS ? WIRE_UDP_SEND : WIRE_UDP_RECEIVE))
		return;
	rec->hdr.incomplete = flow->hdr.incomplete;
	rec->duration_ns = WIRE_NOT_COUNTED;
	rec->state = WIRE_FLOW_NEW;
	send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
}

/* Who has the flow, in a scratch; returns what begin_cgroup() does. */
GLOBAL __u32 make_flow_owner(__u32 copy)
{
	struct net_connection *rec = scratch_of(&flow_scratch, copy);

	if (!rec)
		return 0;
	__builtin_memset(rec, 0, sizeof(*rec));
	return begin_owner(rec);
}

static __always_inline struct net_connection *new_flow(void *ctx, const struct wire_flow_key *key,
						       const struct datagram *d, const int copy)
{
	struct net_connection *rec = scratch_of(&flow_scratch, copy);
	bool sent = d->direction == WIRE_EGRESS;
	struct wire_flow_counts *counts = counts_of_flows();
	struct sock *sk = d->sk;

	if (!rec || !counts)
		return NULL;
	send_cgroup_record(ctx, &rec->hdr, make_flow_owner(copy));
	rec->cookie = d->cookie;
	rec->start_ns = rec->hdr.time_ns;
	put_ip(sent ? rec->source_ip : rec->destination_ip, d->local);
	put_ip(sent ? rec->destination_ip : rec->source_ip, d->remote);
	rec->source_port = sent ? d->local_port : d->remote_port;
	rec->destination_port = sent ? d->remote_port : d->local_port;
	rec->netns = netns_of(sk);
	rec->family = READ(sk, __sk_common.skc_family);
	rec->transport = IPPROTO_UDP;
	rec->ip_version = version_of(d->local);
	rec->direction = d->direction;
	if (!bpf_map_update_elem(&flows, key, rec, BPF_NOEXIST)) {
		__sync_fetch_and_add(&counts->made, 1);
	} else if (!bpf_map_lookup_elem(&flows, key)) {
		count_loss(WIRE_FLOWS_FULL, rec->hdr.time_ns);
		return NULL;
	}
	return bpf_map_lookup_elem(&flows, key);
}

/* Counts; tells the first of each direction. NULL: the table is full (counted). */
static __always_inline struct net_connection *count_datagram(void *ctx, const struct datagram *d, const int copy)
{
	struct wire_flow_key key = {
		.socket = d->socket,
		.remote_port = d->remote_port,
		.local_port = d->local_port,
	};
	struct net_connection *flow;
	bool first;

	put_ip(key.remote, d->remote);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		flow = new_flow(ctx, &key, d, copy);
	if (!flow)
		return NULL;
	if (flow->direction == d->direction) {
		first = !flow->source_packets;
		__sync_fetch_and_add(&flow->source_packets, d->packets);
		__sync_fetch_and_add(&flow->source_bytes, d->bytes);
	} else {
		first = !flow->destination_packets;
		__sync_fetch_and_add(&flow->destination_packets, d->packets);
		__sync_fetch_and_add(&flow->destination_bytes, d->bytes);
	}
	flow->duration_ns = bpf_ktime_get_boot_ns() - flow->start_ns;
	if (first)
		tell_first(ctx, flow, d, copy);
	return flow;
}

/* A message to or from port 53: told of who sent the flow's first datagram, whoever reads the answer. `bytes` lies in
 * the kernel or in the process. */
static __always_inline void tell_dns(void *ctx, const struct net_connection *flow, __u32 direction, const void *bytes,
				     __u64 size, bool in_process, const int copy)
{
	struct dns_scratch *s = scratch_of(&dns_scratch, copy);
	__u64 len = size;

	if (!s || bpf_probe_read_kernel(&s->rec.on, sizeof(s->rec.on), flow))
		return;
	if (!begin_record(&s->rec.on.hdr, direction == WIRE_EGRESS ? WIRE_DNS_QUERY : WIRE_DNS_ANSWER))
		return;
	s->rec.on.duration_ns = WIRE_NOT_COUNTED;
	not_counted(&s->rec.on);
	s->rec.full_size = size;
	s->rec.pad0 = 0;
	if (len > DNS_BYTES)
		len = DNS_BYTES;
	opaque(len);
	if (len > DNS_BYTES)
		return;
	if (in_process ? bpf_probe_read_user(s->tail, len, bytes) : bpf_probe_read_kernel(s->tail, len, bytes)) {
		s->rec.on.hdr.incomplete |= WIRE_MISSING_DNS;
		len = 0;
	}
	s->rec.message.off = sizeof(s->rec);
	s->rec.message.len = len;
	send_record(ctx, &activity, &s->rec.on.hdr, sizeof(s->rec) + len);
}

static __always_inline bool may_be_dns(const struct datagram *d)
{
	return d->remote_port == DNS_PORT;
}
