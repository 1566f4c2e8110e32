/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads along a chain of offsets that user space gives, for one thread that user space knows everything about: what is
 * found there tells whether a layout of the kernel's types is the running kernel's. No CO-RE: the layout is what is in
 * question. An object of its own; no loop, so that every kernel takes it. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "wire/prove.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PROVE_REQUESTS);
	__type(key, __u32);
	__type(value, struct prove_request);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct prove_turn);
} turn SEC(".maps");

/* Nothing else is followed: some kernels log a read from an address that no pointer can have. The task itself shows
 * whether addresses have 48 or 57 bits. */
static __always_inline int is_kernel_pointer(__u64 address, __u64 task)
{
	__u64 lowest = task >= 0xffff800000000000ULL ? 0xffff800000000000ULL : 0xff00000000000000ULL;

	return address >= lowest && address < 0xfffffffffffff000ULL;
}

static __always_inline int prove(__u64 base, __u32 start)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u64 task = bpf_get_current_task();
	struct prove_request *request;
	struct prove_turn *t;
	__u64 at = base;
	__u32 zero = 0, index;

	t = bpf_map_lookup_elem(&turn, &zero);
	if (!t || (__u32)id != t->thread || start != t->start)
		return 0;
	index = t->next;
	request = bpf_map_lookup_elem(&requests, &index);
	if (!request || request->status != PROVE_ASKED)
		return 0;
	t->next = index + 1;
#pragma unroll
	for (__u32 hop = 0; hop < PROVE_HOPS; hop++) {
		__u64 next = 0;

		if (hop < request->hops) {
			if (!is_kernel_pointer(at, task) ||
			    bpf_probe_read_kernel(&next, sizeof(next), (void *)(at + request->offset[hop]))) {
				request->status = PROVE_LOST;
				return 0;
			}
			at = next;
		}
	}
	/* The second try is for what stands at the end of what is mapped. */
	if (!is_kernel_pointer(at, task) ||
	    (bpf_probe_read_kernel(request->bytes, sizeof(request->bytes), (void *)(at + request->last)) &&
	     bpf_probe_read_kernel(request->bytes, 8, (void *)(at + request->last)))) {
		request->status = PROVE_LOST;
		return 0;
	}
	request->status = PROVE_READ;
	return 0;
}

/* The thread renames itself. */
SEC("raw_tp/task_rename")
int prove__raw_tp(void *ctx)
{
	return prove(bpf_get_current_task(), PROVE_THREAD);
}

SEC("tracepoint/task/task_rename")
int prove__tracepoint(void *ctx)
{
	return prove(bpf_get_current_task(), PROVE_THREAD);
}

/* sched_process_exec(task, old_pid, bprm): chains begin at bprm. */
SEC("raw_tp/sched_process_exec")
int prove_exec__raw_tp(struct bpf_raw_tracepoint_args *ctx)
{
	return prove(ctx->args[2], PROVE_EXEC);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
