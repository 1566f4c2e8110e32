/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An object as they were built before BTF: maps are variables of struct bpf_map_def, each in a section of its own or
 * together in one. Compiled with -g and without, for the loader's tests.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Longer than libbpf's was: loaders added members, which must be 0. */
struct bpf_map_def {
	unsigned int type;
	unsigned int key_size;
	unsigned int value_size;
	unsigned int max_entries;
	unsigned int map_flags;
	unsigned int pinning;
	char namespace[256];
};

char LICENSE[] SEC("license") = "Dual BSD/GPL";
__u32 KERNEL_VERSION SEC("version") = 0xfffffffe;

/* [0]: the process that is looked at. */
struct bpf_map_def SEC("maps/settings") settings = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(__u32),
	.value_size = sizeof(__u32),
	.max_entries = 1,
};

struct bpf_map_def SEC("maps/old_events") old_events = {
	.type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
	.key_size = sizeof(int),
	.value_size = sizeof(int),
};

struct bpf_map_def SEC("maps") seen = {
	.type = BPF_MAP_TYPE_HASH,
	.key_size = sizeof(__u32),
	.value_size = sizeof(__u64),
	.max_entries = 17,
	.map_flags = BPF_F_ZERO_SEED,
};

struct bpf_map_def SEC("maps") old_jumps = {
	.type = BPF_MAP_TYPE_PROG_ARRAY,
	.key_size = sizeof(__u32),
	.value_size = sizeof(__u32),
	.max_entries = 2,
};

struct bpf_map_def SEC("maps") never_used = {
	.type = BPF_MAP_TYPE_ARRAY,
	.key_size = sizeof(__u32),
	.value_size = 8,
	.max_entries = 1,
};

static __always_inline int is_wanted(void)
{
	__u32 zero = 0;
	__u32 *wanted = bpf_map_lookup_elem(&settings, &zero);

	return wanted && *wanted == bpf_get_current_pid_tgid() >> 32;
}

static __always_inline void count(__u32 key)
{
	__u64 one = 1;
	__u64 *number = bpf_map_lookup_elem(&seen, &key);

	if (number)
		__sync_fetch_and_add(number, 1);
	else
		bpf_map_update_elem(&seen, &key, &one, BPF_ANY);
}

SEC("raw_tp/task_rename")
int old_counts(void *ctx)
{
	if (!is_wanted())
		return 0;
	count(1);
	bpf_tail_call(ctx, &old_jumps, 1);
	count(2);
	return 0;
}

SEC("raw_tp")
int old_jumped_to(void *ctx)
{
	count(3);
	return 0;
}

SEC("raw_tp/task_rename")
int old_sends(void *ctx)
{
	__u64 record[2] = { 31, 37 };

	if (is_wanted())
		bpf_perf_event_output(ctx, &old_events, BPF_F_CURRENT_CPU, record, sizeof(record));
	return 0;
}
