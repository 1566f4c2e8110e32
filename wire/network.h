/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network events. Addresses are 16 bytes: IPv4 as v4-mapped IPv6, so that a mapped address and the IPv4 address that it
 * stands for are the same bytes. Ports are in host order. */
#pragma once
#include "wire/base.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

#define WIRE_NOT_COUNTED (~0ULL)

/* The acting process began the exchange (egress) or answered (ingress); 0: not known. */
enum wire_direction {
	WIRE_INGRESS = 1,
	WIRE_EGRESS = 2,
};

/* What a connection's entry in the kernel's table waits for. */
enum wire_connection_phase {
	WIRE_CONNECTING = 1,
	WIRE_CONNECTED = 2,
};

/* In the place of a TCP state: what a UDP record tells of its flow. */
enum wire_flow_state {
	WIRE_FLOW_NEW = 100,    /* its first datagram in that direction */
	WIRE_FLOW_ACTIVE = 101, /* what was counted since it was told last */
	WIRE_FLOW_ENDED = 102,
};

enum wire_socket_flags {
	WIRE_SOCKET_MPTCP = 1 << 0,
};

/* connect, accept, close. Source is who began the connection, or this side where that is not known. */
struct net_connection {
	struct wire_header hdr;
	struct wire_task task;
	__u64 cookie;   /* 0: not known */
	__u64 start_ns; /* the attempt, or the accept; 0: before the sensor */
	__u64 duration_ns;
	__u64 source_bytes; /* payload from the source, counted once whatever was sent again; WIRE_NOT_COUNTED */
	__u64 destination_bytes;
	__u64 source_packets;
	__u64 destination_packets;
	__u64 suppressed; /* datagrams without an event of their own */
	__u8 source_ip[16];
	__u8 destination_ip[16];
	__u32 source_port;
	__u32 destination_port;
	__u32 netns;
	__u32 error; /* errno */
	__u32 flags; /* enum wire_socket_flags */
	__u16 family;
	__u8 transport; /* IPPROTO_* */
	__u8 ip_version;
	__u8 direction; /* enum wire_direction */
	__u8 state;     /* TCP_*: reached (connect, accept), or before the end (close) */
	__u8 phase;     /* enum wire_connection_phase */
	__u8 pad0[5];
};
WIRE_ASSERT(sizeof(struct net_connection) == 32 + 120 + 8 * 8 + 32 + 5 * 4 + 2 + 5 + 5);

/* bind, listen: one end only. */
struct net_endpoint {
	struct wire_header hdr;
	struct wire_task task;
	__u64 cookie;
	__u8 ip[16];
	__u32 port;
	__u32 netns;
	__u32 flags; /* enum wire_socket_flags */
	__u16 family;
	__u8 transport;
	__u8 ip_version;
};
WIRE_ASSERT(sizeof(struct net_endpoint) == 32 + 120 + 8 + 16 + 16);

/* Key of the map "flows"; its values are net_connection. */
struct wire_flow_key {
	__u64 socket; /* a number that no other socket has or had */
	__u8 remote[16];
	__u32 remote_port;
	__u32 local_port;
};
WIRE_ASSERT(sizeof(struct wire_flow_key) == 32);

/* Map "flow_counts", one entry, mapped into user space. */
struct wire_flow_counts {
	__u64 made;         /* flows that were put into the map; user space takes them out */
	__u64 sockets_gone; /* sockets that had flows and were closed */
};
WIRE_ASSERT(sizeof(struct wire_flow_counts) == 16);

/* The largest UDP message that servers send (RFC 6891 suggests 4096). */
#define DNS_BYTES 4096

/* A DNS message as it went by, not looked at by the kernel side. */
struct net_payload {
	struct net_connection on;
	__u32 full_size;
	__u32 pad0;
	struct wire_slice message;
};
WIRE_ASSERT(sizeof(struct net_payload) == sizeof(struct net_connection) + 16);

/* What a process wrote to, or read from, a TCP connection to a name server; user space finds the messages in it. */
struct net_dns_part {
	struct net_connection on;
	__u64 stream; /* a number that no other connection has or had */
	__u64 offset; /* bytes before these, in this direction */
	__u64 size;   /* what was written or read; more than the bytes that follow where these could not be read */
	struct wire_slice bytes;
	__u32 answer; /* 1: from the name server */
	__u32 pad0;
};
WIRE_ASSERT(sizeof(struct net_dns_part) == sizeof(struct net_connection) + 3 * 8 + 8 + 8);

#define UNIX_PATH_BYTES 108

struct net_unix {
	struct wire_header hdr;
	struct wire_task task;
	__u64 cookie;
	__u32 netns;
	__u32 type;     /* SOCK_* */
	__u32 peer_pid; /* who called listen; root pid namespace */
	__u32 peer_uid;
	__u32 peer_gid;
	__u32 path_bytes;
	__u8 path[UNIX_PATH_BYTES]; /* begins with NUL: in the abstract namespace */
	__u8 pad0[4];
};
WIRE_ASSERT(sizeof(struct net_unix) == 32 + 120 + 8 + 24 + 112);

#pragma GCC diagnostic pop

#ifdef __cplusplus
#include "wire/names.hpp"

// clang-format off
WIRE_SCHEMA(net_connection,
  INLINED(hdr), INLINED(task),
  FIELD(cookie, "nightjar.net.socket_cookie", as::number.unless(0), "The kernel's number of the socket (SO_COOKIE)."),
  HIDDEN(start_ns),
  FIELD(duration_ns, "nightjar.net.duration_ns", as::number.unless(WIRE_NOT_COUNTED), "How long the attempt took (connect), or the connection lasted (close), nanoseconds."),
  FIELD(source_bytes, "source.bytes", as::number.unless(WIRE_NOT_COUNTED), "Payload that the source sent; what was sent again is not counted again."),
  FIELD(destination_bytes, "destination.bytes", as::number.unless(WIRE_NOT_COUNTED), "Payload that the destination sent."),
  FIELD(source_packets, "source.packets", as::number.unless(WIRE_NOT_COUNTED), "Segments from the source, as the socket counts them."),
  FIELD(destination_packets, "destination.packets", as::number.unless(WIRE_NOT_COUNTED), "Segments from the destination."),
  FIELD(suppressed, "nightjar.suppressed.count", as::number.unless(0), "Of a UDP summary: datagrams that had no event of their own."),
  FIELD(source_ip, "source.ip", as::ip.unless(0), "Who began the exchange. A v4-mapped address is told as IPv4."),
  FIELD(destination_ip, "destination.ip", as::ip.unless(0), "The other side."),
  FIELD(source_port, "source.port", as::number.unless(0), "Port of the source."),
  FIELD(destination_port, "destination.port", as::number.unless(0), "Port of the destination."),
  FIELD(netns, "nightjar.net.netns", as::number.unless(0), "Network namespace of the socket, inode number."),
  FIELD(error, "nightjar.net.errno", as::number.unless(0), "Why it failed, or was cut off: the error's number."),
  FIELD(flags, "nightjar.net.flags", as::names(socket_flag_names).unless(0), "mptcp: a subflow of a Multipath TCP connection; its bytes include what MPTCP sent again."),
  FIELD(family, "nightjar.net.family", as::name(address_family_names).unless(0), "Address family of the socket: AF_INET, AF_INET6."),
  FIELD(transport, "network.transport", as::name(transport_names).unless(0), "tcp or udp."),
  FIELD(ip_version, "network.type", as::name(ip_version_names).unless(0), "ipv4 or ipv6."),
  FIELD(direction, "network.direction", as::name(direction_names).unless(0), "egress: the process began the exchange; ingress: it answered."),
  FIELD(state, "nightjar.net.state", as::name(tcp_state_names).unless(0), "TCP state that was reached; of close, the one before the end."),
  HIDDEN(phase), PADDING(pad0));

WIRE_SCHEMA(net_endpoint,
  INLINED(hdr), INLINED(task),
  FIELD(cookie, "nightjar.net.socket_cookie", as::number.unless(0), "The kernel's number of the socket (SO_COOKIE)."),
  FIELD(ip, "source.ip", as::ip, "The local address; 0.0.0.0 or :: for any."),
  FIELD(port, "source.port", as::number, "The local port."),
  FIELD(netns, "nightjar.net.netns", as::number.unless(0), "Network namespace of the socket, inode number."),
  FIELD(flags, "nightjar.net.flags", as::names(socket_flag_names).unless(0), "mptcp: the first subflow of a Multipath TCP socket."),
  FIELD(family, "nightjar.net.family", as::name(address_family_names).unless(0), "Address family of the socket: AF_INET, AF_INET6."),
  FIELD(transport, "network.transport", as::name(transport_names).unless(0), "tcp or udp."),
  FIELD(ip_version, "network.type", as::name(ip_version_names).unless(0), "ipv4 or ipv6."));

WIRE_SCHEMA(net_payload,
  INLINED(on), HIDDEN(full_size), PADDING(pad0), HIDDEN(message));

WIRE_SCHEMA(net_unix,
  INLINED(hdr), INLINED(task),
  FIELD(cookie, "nightjar.net.socket_cookie", as::number.unless(0), "The kernel's number of the connecting socket (SO_COOKIE)."),
  FIELD(netns, "nightjar.net.netns", as::number.unless(0), "Network namespace of the socket, inode number."),
  FIELD(type, "nightjar.net.type", as::name(socket_type_names), "SOCK_STREAM or SOCK_SEQPACKET."),
  FIELD(peer_pid, "nightjar.net.peer.pid", as::number.unless(0), "The process that listens (that called listen), root pid namespace."),
  FIELD(peer_uid, "nightjar.net.peer.uid", as::keyword, "Its effective user id when it called listen."),
  FIELD(peer_gid, "nightjar.net.peer.gid", as::keyword, "Its effective group id when it called listen."),
  HIDDEN(path_bytes), HIDDEN(path), PADDING(pad0));
// clang-format on
#endif
