/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* UDP where functions can be hooked: ip_send_skb and ip6_send_skb have the datagram as it goes out, in the context of
 * the sender; skb_consume_udp has it as the receiver takes it. Out of scope, each costs a look at the scope. */
#include "datagram.bpf.h"
#include <asm/ptrace.h> /* struct pt_regs as PT_REGS_PARM1 wants it */
#include <bpf/bpf_tracing.h>

struct udp_header {
	__u16 source, dest, len, check;
};

/* What the two IP headers have where. */
#define IPV4_PROTOCOL 9
#define IPV4_SOURCE 12
#define IPV4_DESTINATION 16
#define IPV6_SOURCE 8
#define IPV6_DESTINATION 24
#define ETHERTYPE_IP 0x0800
#define ETHERTYPE_IPV6 0x86dd

static __always_inline void put_address(__u8 *to, const void *network, bool v6, bool source)
{
	if (v6) {
		put_ipv6(to, network + (source ? IPV6_SOURCE : IPV6_DESTINATION));
		return;
	}
	put_ipv4(to, READ_AT(__u32, network + (source ? IPV4_SOURCE : IPV4_DESTINATION)));
}

/* 1, or how many the network card makes of it, or has made one of. */
static __always_inline __u32 segments_of(struct sk_buff *skb)
{
	struct skb_shared_info *info = (void *)(READ(skb, head) + READ(skb, end));
	__u32 segments = READ(info, gso_segs);

	return segments ? segments : 1;
}

static __always_inline void fill_datagram(struct datagram *d, struct sk_buff *skb, bool v6, bool sent)
{
	unsigned char *head = READ(skb, head);
	void *network = head + READ(skb, network_header);
	struct udp_header udp = {};

	bpf_probe_read_kernel(&udp, sizeof(udp), head + READ(skb, transport_header));
	put_address(d->local, network, v6, sent);
	put_address(d->remote, network, v6, !sent);
	d->local_port = bpf_ntohs(sent ? udp.source : udp.dest);
	d->remote_port = bpf_ntohs(sent ? udp.dest : udp.source);
	d->packets = segments_of(skb);
}

static __always_inline int sent_body(void *ctx, struct sk_buff *skb, const bool v6, const int copy)
{
	struct sock *sk = READ(skb, sk);
	struct net_connection *flow;
	struct datagram d = {};
	unsigned char *payload;

	if (!sk || protocol_of(sk) != IPPROTO_UDP)
		return 0;
	fill_datagram(&d, skb, v6, true);
	payload = READ(skb, head) + READ(skb, transport_header) + sizeof(struct udp_header);
	d.sk = sk;
	d.socket = socket_number(sk);
	d.cookie = cookie_of(sk, NULL);
	d.direction = WIRE_EGRESS;
	d.bytes = READ(skb, len) - (payload - READ(skb, data));
	flow = count_datagram(ctx, &d, copy);
	if (flow && may_be_dns(&d))
		tell_dns(ctx, flow, WIRE_EGRESS, payload, d.bytes, false, copy);
	return 0;
}

/* The data pointer stands behind the header already. A negative length: the datagram was only looked at. */
static __always_inline int received_body(void *ctx, struct sock *sk, struct sk_buff *skb, int length)
{
	struct net_connection *flow;
	struct datagram d = {};

	if (length < 0 || protocol_of(sk) != IPPROTO_UDP)
		return 0;
	fill_datagram(&d, skb, READ(skb, protocol) == bpf_htons(ETHERTYPE_IPV6), false);
	d.sk = sk;
	d.socket = socket_number(sk);
	d.cookie = cookie_of(sk, NULL);
	d.direction = WIRE_INGRESS;
	d.bytes = READ(skb, len);
	flow = count_datagram(ctx, &d, OF_RECEIVE);
	if (flow && may_be_dns(&d))
		tell_dns(ctx, flow, WIRE_INGRESS, READ(skb, data), d.bytes, false, OF_RECEIVE);
	return 0;
}

/* From here on the memory can become another socket: its flows end. */
static __always_inline int gone_body(struct sock *sk)
{
	struct wire_flow_counts *counts = counts_of_flows();
	__u64 key = (__u64)sk;

	if (!bpf_map_delete_elem(&udp_sockets, &key) && counts)
		__sync_fetch_and_add(&counts->sockets_gone, 1);
	return 0;
}

#define IN_SCOPE() in_scope((void *)bpf_get_current_task(), false)

SEC("fentry/ip_send_skb")
int udp_send__fentry(__u64 *ctx)
{
	return IN_SCOPE() ? sent_body(ctx, (void *)ctx[1], false, OF_SEND) : 0;
}

SEC("fentry/ip6_send_skb")
int udp_send6__fentry(__u64 *ctx)
{
	return IN_SCOPE() ? sent_body(ctx, (void *)ctx[0], true, OF_SEND6) : 0;
}

SEC("fentry/skb_consume_udp")
int udp_receive__fentry(__u64 *ctx)
{
	return IN_SCOPE() ? received_body(ctx, (void *)ctx[0], (void *)ctx[1], ctx[2]) : 0;
}

SEC("fentry/udp_destroy_sock")
int udp_gone__fentry(__u64 *ctx)
{
	return gone_body((void *)ctx[0]);
}

SEC("fentry/udpv6_destroy_sock")
int udp_gone6__fentry(__u64 *ctx)
{
	return gone_body((void *)ctx[0]);
}

SEC("kprobe/ip_send_skb")
int udp_send__kprobe(struct pt_regs *ctx)
{
	return IN_SCOPE() ? sent_body(ctx, (void *)PT_REGS_PARM2(ctx), false, OF_SEND) : 0;
}

SEC("kprobe/ip6_send_skb")
int udp_send6__kprobe(struct pt_regs *ctx)
{
	return IN_SCOPE() ? sent_body(ctx, (void *)PT_REGS_PARM1(ctx), true, OF_SEND6) : 0;
}

SEC("kprobe/skb_consume_udp")
int udp_receive__kprobe(struct pt_regs *ctx)
{
	return IN_SCOPE()
		       ? received_body(ctx, (void *)PT_REGS_PARM1(ctx), (void *)PT_REGS_PARM2(ctx), PT_REGS_PARM3(ctx))
		       : 0;
}

SEC("kprobe/udp_destroy_sock")
int udp_gone__kprobe(struct pt_regs *ctx)
{
	return gone_body((void *)PT_REGS_PARM1(ctx));
}

SEC("kprobe/udpv6_destroy_sock")
int udp_gone6__kprobe(struct pt_regs *ctx)
{
	return gone_body((void *)PT_REGS_PARM1(ctx));
}
