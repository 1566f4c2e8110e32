/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} calls SEC(".maps");

static __always_inline int told(__u32 number)
{
	__u32 record[2] = { number, (__u32)(bpf_get_current_pid_tgid() >> 32) };

	bpf_ringbuf_output(&calls, record, sizeof(record), 0);
	return 0;
}

SEC("kprobe")
int test_program_clone(void *ctx)
{
	return told(0);
}

SEC("kprobe")
int test_program_clone3(void *ctx)
{
	return told(3);
}
