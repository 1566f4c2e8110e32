/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One pool of scratch memory for families with many programs: an own scratch for each program, copy and CPU would take
 * megabytes, and only a few are ever in use at once. A row is taken for as long as a program runs; one that finds none
 * counts its event as lost, reason "no_scratch".
 *
 * Whoever took a row owns it, also when it is preempted and another program runs on the same CPU meanwhile. Taking is
 * an insertion that must be new: the only atomic test-and-set that 5.10 offers to programs (cmpxchg came with 5.12). */
#pragma once
#include "scope.bpf.h"

/* A record's struct, two paths, and a link's text or a mount's options. */
#define SCRATCH_BYTES (1024 + 2 * PATH_BYTES + 4096 + NAME_BYTES)

/* A text on its way through the path rules (rules.bpf.h); offsets are those of the row's bytes. */
struct rule_walk {
	__u32 set, first_state, first_edge, first_verdict;
	__u32 begin, end; /* the text, its NUL included */
	__u32 automaton, state;
	__u32 at;        /* the next byte */
	__u32 component; /* where the component begins that is read */
	__u32 verdict;   /* the least one so far */
	__u32 is_reversed, goes_back, is_over;
};

struct scratch_row {
	struct rule_walk rules;
	__u8 bytes[SCRATCH_BYTES]; /* a family puts its own struct of record and tail here */
};

/* Rows; the agent sets it, and max_entries of the three maps with it. */
const volatile __u32 scratch_row_count __weak = 8;
/* The first row of path_rows that belongs to the pool: row N of the pool walks paths in path_rows[first + N]. */
const volatile __u32 scratch_first_path_row __weak = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct scratch_row);
} scratch_rows __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} scratch_taken __weak SEC(".maps");

/* So many rows are tried: more programs than that are not interrupted by each other at once on one CPU. */
#define SCRATCH_TRIES 8

/* The number of a row that is now the caller's, to be given back with give_scratch(); -1, and an event of `kind`
 * counted as lost: none is free. Global, so that the verifier checks it once. */
__weak __noinline int take_scratch(__u32 kind)
{
	__u32 rows = scratch_row_count;
	__u32 first = bpf_get_smp_processor_id() * 2;
	__u32 one = 1;

	if (!rows)
		return -1;
	for (__u32 i = 0; i < SCRATCH_TRIES; i++) {
		__u32 row = (first + i) % rows;

		if (!bpf_map_update_elem(&scratch_taken, &row, &one, BPF_NOEXIST))
			return row;
	}
	count_unscratched(kind);
	return -1;
}

static __always_inline void give_scratch(__u32 row)
{
	bpf_map_delete_elem(&scratch_taken, &row);
}

static __always_inline struct scratch_row *scratch_at(__u32 row)
{
	return bpf_map_lookup_elem(&scratch_rows, &row);
}

static __always_inline __u32 scratch_path_row(__u32 row)
{
	return scratch_first_path_row + row;
}
