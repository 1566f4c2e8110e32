/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program that navigates by the map `offsets`, without CO-RE: who the caller and its parent are. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} offsets SEC(".maps");

struct answer {
	__u32 tgid, parent;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct answer);
} answers SEC(".maps");

const volatile __u32 watched; /* thread group */

/* CRC-64/Jones of "loaded", "task_struct->tgid", "task_struct->real_parent" */
const volatile __u64 key_loaded, key_tgid, key_real_parent;

static __always_inline int offset_of(__u64 key, __u32 *offset)
{
	__u32 *found = bpf_map_lookup_elem(&offsets, &key);

	if (!found)
		return -1;
	*offset = *found;
	return 0;
}

SEC("raw_tp/sys_enter")
int seed_style(void *ctx)
{
	__u32 self = bpf_get_current_pid_tgid() >> 32;
	char *task = (void *)bpf_get_current_task();
	struct answer answer = {};
	__u32 loaded, tgid, real_parent;
	char *parent = 0;

	if (self != watched || offset_of(key_loaded, &loaded) || !loaded)
		return 0;
	if (offset_of(key_tgid, &tgid) || offset_of(key_real_parent, &real_parent))
		return 0;
	bpf_probe_read_kernel(&answer.tgid, sizeof(answer.tgid), task + tgid);
	bpf_probe_read_kernel(&parent, sizeof(parent), task + real_parent);
	bpf_probe_read_kernel(&answer.parent, sizeof(answer.parent), parent + tgid);
	bpf_map_update_elem(&answers, &self, &answer, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
