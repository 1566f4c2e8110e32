/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 only_process = 0; /* 0: all */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} execs SEC(".maps");

SEC("raw_tp/sched_process_exec")
int on_exec(void *ctx)
{
	char name[16];

	if (only_process && (bpf_get_current_pid_tgid() >> 32) != only_process)
		return 0;
	bpf_get_current_comm(name, sizeof(name));
	bpf_ringbuf_output(&execs, name, sizeof(name), 0);
	return 0;
}
