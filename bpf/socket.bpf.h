/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading sockets, and the calls that name them by descriptor. */
#pragma once
#include "syscall.bpf.h"
#include "turn.bpf.h"
#include "wire/network.h"
#include <bpf/bpf_endian.h>

/* bpf_get_socket_cookie can be called here: versions of the same programs differ in it only. */
#ifndef NIGHTJAR_LEGACY
const volatile __u32 socket_cookies __weak = 0;
#endif

#define DNS_PORT 53
/* include/linux/socket.h */
#define MSG_PEEK 2

static __always_inline void put_ipv4(__u8 *to, __u32 address)
{
	*(__u64 *)to = 0;
	*(__u32 *)(to + 8) = bpf_htonl(0xffff);
	*(__u32 *)(to + 12) = address;
}

/* From the kernel's memory. */
static __always_inline void put_ipv6(__u8 *to, const void *from)
{
	*(__u64 *)to = READ_AT(__u64, from);
	*(__u64 *)(to + 8) = READ_AT(__u64, from + 8);
}

/* In two steps: the compiler would take sixteen. */
static __always_inline void put_ip(__u8 *to, const __u8 *from)
{
	*(__u64 *)to = *(__u64 *)from;
	*(__u64 *)(to + 8) = *(__u64 *)(from + 8);
}

/* The current process, now, as whom a record that is zeroed is about. Returns what begin_cgroup() does. */
static __always_inline __u32 begin_owner(struct net_connection *rec)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	rec->hdr.time_ns = bpf_ktime_get_boot_ns();
	fill_task(&rec->task, task, false);
	return begin_cgroup(&rec->hdr, &rec->task, task);
}

static __always_inline __u32 version_of(const __u8 *ip)
{
	return *(__u64 *)ip == 0 && *(__u32 *)(ip + 8) == bpf_htonl(0xffff) ? 4 : 6;
}

/* The port is that of inet_sock: the other one (skc_num) is given back before the last change of state. */
static __always_inline __u32 put_local(__u8 *ip, struct sock *sk)
{
	if (READ(sk, __sk_common.skc_family) == AF_INET6)
		put_ipv6(ip, &sk->__sk_common.skc_v6_rcv_saddr);
	else
		put_ipv4(ip, READ(sk, __sk_common.skc_rcv_saddr));
	return bpf_ntohs(READ((struct inet_sock *)sk, inet_sport));
}

static __always_inline __u32 put_remote(__u8 *ip, struct sock *sk)
{
	if (READ(sk, __sk_common.skc_family) == AF_INET6)
		put_ipv6(ip, &sk->__sk_common.skc_v6_daddr);
	else
		put_ipv4(ip, READ(sk, __sk_common.skc_daddr));
	return bpf_ntohs(READ(sk, __sk_common.skc_dport));
}

static __always_inline bool is_internet(struct sock *sk)
{
	__u16 family = READ(sk, __sk_common.skc_family);

	return family == AF_INET || family == AF_INET6;
}

static __always_inline __u32 netns_of(struct sock *sk)
{
	return READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline __u32 protocol_of(struct sock *sk)
{
	return BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol);
}

/* `typed`: the same socket as the program has it from a hook that is typed by BTF, if it has. Otherwise the cookie is
 * known only when somebody asked for it before. */
static __always_inline __u64 cookie_of(struct sock *sk, struct sock *typed)
{
	if (typed && socket_cookies)
		return bpf_get_socket_cookie(typed);
	return READ(sk, __sk_common.skc_cookie.counter);
}

/* NULL: the file is no socket. */
static __always_inline struct sock *sock_of_file(struct file *file)
{
	struct socket *socket;

	if ((READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = READ(file, private_data);
	return READ(socket, sk);
}

/* A pointer as a number: with what the verifier knows to be one, nothing can be calculated, and no function called. */
static __always_inline __u64 address_of(void *pointer)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &pointer);
	return address;
}

static __always_inline void not_counted(struct net_connection *rec)
{
	rec->source_bytes = WIRE_NOT_COUNTED;
	rec->destination_bytes = WIRE_NOT_COUNTED;
	rec->source_packets = WIRE_NOT_COUNTED;
	rec->destination_packets = WIRE_NOT_COUNTED;
}

/* The socket behind a descriptor of the current process; NULL: no socket. */
static __always_inline struct sock *sock_of_descriptor(__s32 fd)
{
	struct file *file = file_of(fd);

	return file ? sock_of_file(file) : NULL;
}

/* What a thread is about, from the entry of a call to its exit. LRU: a thread that is killed in the call does not come
 * back. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} socket_calls __weak SEC(".maps");

static __always_inline void call_begins(__u64 about)
{
	__u64 id = bpf_get_current_pid_tgid();

	if (in_scope((void *)bpf_get_current_task(), false))
		bpf_map_update_elem(&socket_calls, &id, &about, BPF_ANY);
}

/* False: the entry was not seen, or is out of scope. */
static __always_inline bool call_ends(__u64 *about)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u64 *known = bpf_map_lookup_elem(&socket_calls, &id);

	if (!known)
		return false;
	*about = *known;
	bpf_map_delete_elem(&socket_calls, &id);
	return true;
}
