/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The shared headers for kernels from 4.14 on: what a source that defines NIGHTJAR_LEGACY gets in place of newer
 * things.
 *
 * Such a program has less than 4,096 instructions, no backward jump (loops are UNROLLED), no call of another function
 * of the object, no global data, only helpers of 4.14, and map keys and values on the stack; tests/unit/legacy_test.cpp
 * looks. A guard (bpf_core_field_exists) asks for what came after 4.14, and the last alternative is 4.14's own: its
 * verifier skips a branch on a known 0, but follows both ways where it knows a 1 (kernel/bpf/verifier.c,
 * check_cond_jmp_op), and a relocation that failed must not be met there.
 *
 * Scratch needs no guard against being met twice: on one CPU the kernel runs one kprobe or tracepoint program at a
 * time, with preemption off, and skips what comes between (bpf_prog_active, trace_call_bpf). */
#pragma once
#include "wire/legacy.h"

/* 5.5; the old ones read either kind of memory. */
#define bpf_probe_read_kernel bpf_probe_read
#define bpf_probe_read_user bpf_probe_read
#define bpf_probe_read_kernel_str bpf_probe_read_str
#define bpf_probe_read_user_str bpf_probe_read_str

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct wire_legacy_settings);
} settings __weak SEC(".maps");

static __always_inline struct wire_legacy_settings *legacy_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

#define SETTING(member)                                                \
	({                                                             \
		struct wire_legacy_settings *set_ = legacy_settings(); \
		set_ ? set_->member : 0;                               \
	})
#define sequence_base SETTING(sequence_base)
#define scope_mode SETTING(scope_mode)
#define scope_cgroup SETTING(scope_cgroup)
#define want_env SETTING(want_env)
#define file_wanted SETTING(file_wanted)

/* bpf_ktime_get_boot_ns: 5.8. */
#define bpf_ktime_get_boot_ns() (bpf_ktime_get_ns() + SETTING(boot_offset_ns))

/* Constants of the other tiers that have one value here: perf buffers, no stand-ins, no helper for cookies. */
#define use_ring 0
#define stand_ins 0
#define wakeup_bytes 0
#define socket_cookies 0

/* All rules are asked in user space, and nothing is limited. */
#define scalar_drop_current(kind) false
#define scalar_drop_record(kind, task, source_port, destination_port) false
#define over_limit_current(kind) false
#define over_limit(kind, pid, start_ns) false

/* What stands behind this is laid last. */
#define LAST asm volatile("" : : : "memory")
