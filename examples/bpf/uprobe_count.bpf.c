/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* By process, so that the busiest can be told. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 4096);
} calls SEC(".maps");

SEC("uprobe/libc.so.6:malloc")
int on_malloc(void *ctx)
{
	__u32 process = (__u32)(bpf_get_current_pid_tgid() >> 32);
	__u64 one = 1;
	__u64 *count = bpf_map_lookup_elem(&calls, &process);

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&calls, &process, &one, BPF_ANY);
	return 0;
}
