/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* DNS over TCP: the bytes that a process writes to, and reads from, a connection to port 53, as they lie in the process
 * when the call ends. Where its arguments say, so not those of io_uring and of 32-bit programs: these are told as
 * unread. What is sent to other ports costs a look at the port. */
#include "socket.bpf.h"
#include <asm/ptrace.h> /* struct pt_regs as PT_REGS_PARM1 wants it */
#include <bpf/bpf_tracing.h>

/* Vectors of more parts are told as unread from the fifth on; everybody writes one or two. */
#define CALL_PARTS 4
/* Of one part: what is behind is told as unread. More than resolvers ask for at once; a record of a perf buffer can
 * have twice as much. */
#define PART_BYTES 32768

/* struct iovec of 64-bit programs (ABI) */
struct user_part {
	__u64 start, size;
};

/* Rows of the scratch. */
#define OF_WRITTEN 0
#define OF_READ 1

struct part_scratch {
	struct net_dns_part rec;
	__u8 tail[PART_BYTES];
	struct user_part parts[CALL_PARTS];
};
SCRATCH(dns_part_scratch, struct part_scratch);

struct dns_stream {
	struct net_connection on;
	__u64 number;
	__u64 passed[2]; /* bytes written, and read */
	__u64 in_call;   /* of those read: by the call that is under way */
};
SCRATCH(dns_stream_scratch, struct dns_stream);

/* By socket. LRU: nothing tells the end of one; when its memory becomes another socket, is_same() sees that. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct dns_stream);
} dns_streams SEC(".maps");

static __always_inline bool is_same(const struct dns_stream *stream, struct sock *sk, __u64 cookie)
{
	if (cookie && stream->on.cookie && cookie != stream->on.cookie)
		return false;
	return stream->on.source_port == bpf_ntohs(READ((struct inet_sock *)sk, inet_sport));
}

/* The current process, in a scratch; returns what begin_cgroup() does. */
GLOBAL __u32 make_stream_owner(__u32 copy)
{
	struct dns_stream *stream = scratch_of(&dns_stream_scratch, copy);

	if (!stream)
		return 0;
	__builtin_memset(stream, 0, sizeof(*stream));
	return begin_owner(&stream->on);
}

/* The connection as its first user, the current process, has it. */
static __always_inline struct dns_stream *new_stream(void *ctx, struct sock *sk, __u64 cookie, const int copy)
{
	struct dns_stream *stream = scratch_of(&dns_stream_scratch, copy);
	struct net_connection *on = (void *)stream;
	__u64 key = (__u64)sk;

	if (!stream)
		return NULL;
	send_cgroup_record(ctx, &on->hdr, make_stream_owner(copy));
	on->cookie = cookie;
	on->start_ns = on->hdr.time_ns;
	on->duration_ns = WIRE_NOT_COUNTED;
	not_counted(on);
	on->source_port = put_local(on->source_ip, sk);
	on->destination_port = put_remote(on->destination_ip, sk);
	on->netns = netns_of(sk);
	on->family = READ(sk, __sk_common.skc_family);
	on->transport = IPPROTO_TCP;
	on->ip_version = version_of(on->destination_ip);
	on->direction = WIRE_EGRESS;
	/* Two on two CPUs at one time: the address tells them apart. */
	stream->number = on->start_ns ^ address_of(sk) << 24;
	bpf_map_update_elem(&dns_streams, &key, stream, BPF_ANY);
	return bpf_map_lookup_elem(&dns_streams, &key);
}

static __always_inline struct dns_stream *stream_of(void *ctx, struct sock *sk, __u64 cookie, const int copy)
{
	__u64 key = (__u64)sk;
	struct dns_stream *stream = bpf_map_lookup_elem(&dns_streams, &key);

	return stream && is_same(stream, sk, cookie) ? stream : new_stream(ctx, sk, cookie, copy);
}

/* ---- Where the data of the current call lies ---- */

struct user_call {
	bool known, peeks;
};

#if defined(__TARGET_ARCH_x86)
/* arch/x86/entry/syscalls/syscall_64.tbl */
enum {
	CALL_READ = 0,
	CALL_WRITE = 1,
	CALL_READV = 19,
	CALL_WRITEV = 20,
	CALL_SENDTO = 44,
	CALL_RECVFROM = 45,
	CALL_SENDMSG = 46,
	CALL_RECVMSG = 47,
};
/* struct user_msghdr of 64-bit programs (ABI): msg_iov, msg_iovlen */
#define MESSAGE_PARTS 16

static __always_inline struct user_call read_call(struct user_part *parts)
{
	struct user_call call = { .known = true };
	struct user_part vector = {};
	struct pt_regs regs = {};

	__builtin_memset(parts, 0, CALL_PARTS * sizeof(*parts));
	read_current_registers(&regs);
	if (regs.cs == X86_USER32_CS)
		return (struct user_call){};
	switch (regs.orig_rax) {
	case CALL_RECVFROM:
		call.peeks = regs.r10 & MSG_PEEK;
		__attribute__((fallthrough));
	case CALL_READ:
	case CALL_WRITE:
	case CALL_SENDTO:
		parts->start = regs.rsi;
		parts->size = regs.rdx;
		return call;
	case CALL_RECVMSG:
		call.peeks = regs.rdx & MSG_PEEK;
		__attribute__((fallthrough));
	case CALL_SENDMSG:
		bpf_probe_read_user(&vector, sizeof(vector), (void *)regs.rsi + MESSAGE_PARTS);
		break;
	case CALL_READV:
	case CALL_WRITEV:
		vector.start = regs.rsi;
		vector.size = regs.rdx;
		break;
	default:
		return (struct user_call){};
	}
	for (__u32 i = 0; i < CALL_PARTS && i < vector.size; i++)
		bpf_probe_read_user(&parts[i], sizeof(parts[i]), (void *)vector.start + i * sizeof(parts[i]));
	return call;
}
#else
static __always_inline struct user_call read_call(struct user_part *parts)
{
	__builtin_memset(parts, 0, CALL_PARTS * sizeof(*parts));
	return (struct user_call){};
}
#endif

/* ---- Telling ---- */

static __always_inline void send_piece(void *ctx, struct part_scratch *s, __u64 start, __u64 size)
{
	__u64 len = start ? size : 0;

	if (!begin_record(&s->rec.on.hdr, WIRE_DNS_PART))
		return;
	s->rec.size = size;
	opaque(len);
	if (len > PART_BYTES)
		len = PART_BYTES;
	opaque(len); /* else both tests become one of a copy, which older verifiers do not see */
	if (len > PART_BYTES)
		return;
	if (len && bpf_probe_read_user(s->tail, len, (void *)start))
		len = 0;
	if (len < size)
		s->rec.on.hdr.incomplete = WIRE_MISSING_DNS;
	s->rec.bytes.off = sizeof(s->rec);
	s->rec.bytes.len = len;
	send_record(ctx, &activity, &s->rec.on.hdr, sizeof(s->rec) + len);
	s->rec.offset += size;
}

/* A ring buffer needs no context, so that this can be global. */
__noinline int send_piece_to_ring(__u32 copy, __u64 start, __u64 size)
{
	struct part_scratch *s = scratch_of(&dns_part_scratch, copy);

	if (use_ring && s)
		send_piece(NULL, s, start, size);
	return 0;
}

static __always_inline void tell_piece(void *ctx, struct part_scratch *s, __u64 start, __u64 size, const int copy)
{
	if (use_ring)
		send_piece_to_ring(copy, start, size);
	else
		send_piece(ctx, s, start, size);
}

/* `size` bytes, which begin `skip` bytes into the call's parts. */
static __always_inline void tell_pieces(void *ctx, struct part_scratch *s, __u64 skip, __u64 size, const int copy)
{
	for (int i = 0; i < CALL_PARTS && size; i++) {
		__u64 start = s->parts[i].start, len = s->parts[i].size;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		start += skip;
		len -= skip;
		skip = 0;
		if (len > size)
			len = size;
		size -= len;
		tell_piece(ctx, s, start, len, copy);
	}
	if (size)
		tell_piece(ctx, s, 0, size, copy);
}

static __always_inline bool is_to_name_server(struct sock *sk, __u16 port)
{
	return port == bpf_htons(DNS_PORT) && protocol_of(sk) == IPPROTO_TCP && is_internet(sk);
}

/* `in_call`: `size` counts from the call's begin, and this may be told more than once a call. */
static __always_inline int passed_body(void *ctx, struct sock *sk, __u64 cookie, __s64 size, __u32 answer,
				       const bool in_call, const int copy)
{
	struct part_scratch *s = scratch_of(&dns_part_scratch, copy);
	struct dns_stream *stream;
	struct user_call call;
	__u64 skip = 0;

	if (size <= 0 || !s || !in_scope((void *)bpf_get_current_task(), false))
		return 0;
	call = read_call(s->parts);
	if (call.peeks)
		return 0;
	stream = stream_of(ctx, sk, cookie, copy);
	if (!stream)
		return 0;
	if (in_call) {
		skip = stream->in_call;
		if ((__u64)size <= skip)
			return 0;
		stream->in_call = size;
		size -= skip;
	}
	if (bpf_probe_read_kernel(&s->rec.on, sizeof(s->rec.on), &stream->on))
		return 0;
	s->rec.stream = stream->number;
	s->rec.answer = answer;
	s->rec.pad0 = 0;
	s->rec.offset = stream->passed[answer & 1];
	stream->passed[answer & 1] += size;
	tell_pieces(ctx, s, skip, size, copy);
	return 0;
}

#define PORT_OF(sk) READ(sk, __sk_common.skc_dport)

/* tcp_sendmsg(sk, message, size): how many it took. */
SEC("fexit/tcp_sendmsg")
int dns_tcp__sent_fexit_more(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];

	if (sk->__sk_common.skc_dport != bpf_htons(DNS_PORT) || !is_to_name_server(sk, bpf_htons(DNS_PORT)))
		return 0;
	return passed_body(ctx, sk, cookie_of(sk, NULL), (int)ctx[3], 0, false, OF_WRITTEN);
}

/* tcp_recvmsg: how many it gave. Linux kernel commit ec095263a965 ("net: remove noblock parameter from recvmsg()
 * entities") (in v5.19) took one of its six arguments away. */
SEC("fexit/tcp_recvmsg")
int dns_tcp__received_fexit_more(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	__u64 size = 0;

	if (sk->__sk_common.skc_dport != bpf_htons(DNS_PORT) || !is_to_name_server(sk, bpf_htons(DNS_PORT)))
		return 0;
	if (bpf_core_enum_value_exists(enum bpf_func_id___asked, BPF_FUNC_get_func_ret___asked))
		bpf_get_func_ret(ctx, &size);
	else
		size = ctx[6];
	return passed_body(ctx, sk, cookie_of(sk, NULL), (int)size, 1, false, OF_READ);
}

/* No kretprobes: one that waits in a call takes one of few places, and many processes wait for data. So what is sent
 * is taken for sent when the call begins. */
SEC("kprobe/tcp_sendmsg")
int dns_tcp__sent_kprobe_more(struct pt_regs *ctx)
{
	struct sock *sk = (void *)PT_REGS_PARM1(ctx);

	if (!is_to_name_server(sk, PORT_OF(sk)))
		return 0;
	return passed_body(ctx, sk, cookie_of(sk, NULL), PT_REGS_PARM3(ctx), 0, false, OF_WRITTEN);
}

SEC("kprobe/tcp_recvmsg")
int dns_tcp__receives_kprobe_more(struct pt_regs *ctx)
{
	struct sock *sk = (void *)PT_REGS_PARM1(ctx);
	__u64 key = (__u64)sk;
	struct dns_stream *stream;

	if (!is_to_name_server(sk, PORT_OF(sk)))
		return 0;
	stream = bpf_map_lookup_elem(&dns_streams, &key);
	if (stream)
		stream->in_call = 0;
	return 0;
}

/* tcp_cleanup_rbuf(sk, size): so many are in the process's buffer; once or several times a call. */
SEC("kprobe/tcp_cleanup_rbuf")
int dns_tcp__received_kprobe_more(struct pt_regs *ctx)
{
	struct sock *sk = (void *)PT_REGS_PARM1(ctx);

	if (!is_to_name_server(sk, PORT_OF(sk)))
		return 0;
	return passed_body(ctx, sk, cookie_of(sk, NULL), (int)PT_REGS_PARM2(ctx), 1, true, OF_READ);
}

SEC("tp_btf/sock_send_length")
int dns_tcp__sent_length_more(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];

	if (sk->__sk_common.skc_dport != bpf_htons(DNS_PORT) || !is_to_name_server(sk, bpf_htons(DNS_PORT)))
		return 0;
	return passed_body(ctx, sk, bpf_get_socket_cookie(sk), (int)ctx[1], 0, false, OF_WRITTEN);
}

SEC("tp_btf/sock_recv_length")
int dns_tcp__received_length_more(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];

	if (sk->__sk_common.skc_dport != bpf_htons(DNS_PORT) || !is_to_name_server(sk, bpf_htons(DNS_PORT)))
		return 0;
	return passed_body(ctx, sk, bpf_get_socket_cookie(sk), (int)ctx[1], 1, false, OF_READ);
}
