/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The matcher of the path rules on its own, to be run on paths that a test gives. */
#include "bpf/rules.bpf.h"

#define QUESTION_BYTES 4096
struct question {
	__u32 kind, length, is_reversed, verdict;
	__u8 text[QUESTION_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct question);
} questions SEC(".maps");

SEC("raw_tp/sys_enter") int ask_rules(void *ctx)
{
	const __u32 begin = 1000; /* as behind a record */
	__u32 zero = 0;
	struct question *q = bpf_map_lookup_elem(&questions, &zero);
	struct scratch_row *r = scratch_at(0);
	__u32 length;

	if (!q || !r)
		return 0;
	length = q->length;
	opaque(length);
	if (length > QUESTION_BYTES || bpf_probe_read_kernel(r->bytes + begin, length, q->text))
		return 0;
	if (!begin_rules(r))
		return 0;
	q->verdict = text_verdict(0, q->kind, begin, begin + length, q->is_reversed);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
