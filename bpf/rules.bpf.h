/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Path rules: whether the rules of the configuration drop an event because of its paths, asked before anything is sent.
 * What the agent cannot say in tables, and what is too long to be walked, is sent: user space asks all rules again. */
#pragma once
#include "scratch.bpf.h"
#include "wire/rules.h"

/* The agent sets max_entries of the maps: room for two sets of rules, see wire/rules.h. */
#define RULE_MAP(name, row)                       \
	struct {                                  \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(max_entries, 1);           \
		__type(key, __u32);               \
		__type(value, row);               \
	} name __weak SEC(".maps")

RULE_MAP(path_rule_states, struct wire_rule_state);
RULE_MAP(path_rule_edges, struct wire_rule_edge);
RULE_MAP(path_rule_verdicts, struct wire_rule_verdict);

/* Events that each rule held back; user space sets the size. */
MAPPED_ARRAY(path_rule_drops, 1, __u64);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WIRE_RULE_SETS);
	__type(key, __u32);
	__type(value, struct wire_rule_set);
} path_rule_sets __weak SEC(".maps");

/* The set in force, and one; 0: there are no rules on paths. One word: it changes at once. */
RULE_MAP(path_rules_now, __u32);

/* Whether rules on paths can be there at all. */
const volatile __u32 path_rules_possible __weak = 1;

/* A longer walk (some 16,000 bytes in all automata together) is given up. */
#define RULE_STEPS 8
#define RULE_STRIDES 64
#define RULE_BLOCKS 64

/* One byte of the text to its automaton. A path lies there leaf first (path.bpf.h), but is matched root first: where a
 * component begins is found by going back to the NUL before it. False: all automata are through. */
static __always_inline bool rule_step(struct scratch_row *r, volatile struct rule_walk *w, __u32 kind)
{
	__u64 at = w->at;
	__u32 row = w->first_state + w->state;
	struct wire_rule_state *state = bpf_map_lookup_elem(&path_rule_states, &row);
	struct wire_rule_verdict *verdict;
	struct wire_rule_edge *edge;
	struct wire_rule_set *set;
	__u32 byte;

	if (!state)
		goto unsure;
	if (w->is_over || state->is_final) {
		row = w->first_verdict + state->verdict;
		verdict = bpf_map_lookup_elem(&path_rule_verdicts, &row);
		set = bpf_map_lookup_elem(&path_rule_sets, (__u32 *)&w->set);
		if (!verdict || !set)
			goto unsure;
		kind = (kind - WIRE_FILE_CREATE) % WIRE_FILE_KINDS;
		if (verdict->of[kind] < w->verdict)
			w->verdict = verdict->of[kind];
		row = w->automaton + 1;
		if (row >= set->automata || row >= WIRE_RULE_AUTOMATA)
			return false;
		w->automaton = row;
		w->state = set->starts[row];
		w->at = w->is_reversed ? w->end - 1 : w->begin;
		w->component = w->end - 1;
		w->is_over = 0;
		w->goes_back = w->is_reversed;
		return true;
	}
	opaque(at);
	if (at >= SCRATCH_BYTES)
		goto unsure;
	if (w->goes_back) {
		__u64 before = at - 1;

		opaque(before); /* 5.10 does not follow a bound through the subtraction */
		if (before < SCRATCH_BYTES && at > w->begin && r->bytes[before]) {
			w->at = before;
			return true;
		}
		w->goes_back = 0;
		w->component = at;
		byte = '/';
	} else {
		byte = r->bytes[at];
		if (!byte) {
			if (w->component <= w->begin || !w->is_reversed) {
				w->is_over = 1;
			} else {
				w->at = w->component - 1;
				w->goes_back = 1;
			}
			return true;
		}
		w->at = at + 1;
	}
	row = w->first_edge + state->base + byte;
	edge = bpf_map_lookup_elem(&path_rule_edges, &row);
	w->state = edge && edge->from == w->state ? edge->next : state->other;
	return true;
unsure:
	w->verdict = WIRE_VERDICT_UNSURE;
	return false;
}

/* Global functions, which the verifier checks once, and in three levels, so that it sees few iterations of each: the
 * whole takes it some 4,000 instructions. The walk's state lies in map memory, as that of a path does. */
__weak __noinline int rule_stride(__u32 row, __u32 kind)
{
	struct scratch_row *r = scratch_at(row);

	if (!r)
		return 0;
	for (int i = 0; i < RULE_STEPS; i++) {
		if (!rule_step(r, &r->rules, kind))
			return 0;
	}
	return 1;
}

__weak __noinline int rule_block(__u32 row, __u32 kind)
{
	for (int i = 0; i < RULE_STRIDES; i++) {
		if (!rule_stride(row, kind))
			return 0;
	}
	return 1;
}

/* The verdict on the text that lies in the row's bytes from `begin` to `end`, its NUL included. */
__weak __noinline int text_verdict(__u32 row, __u32 kind, __u32 begin, __u32 end, __u32 is_reversed)
{
	struct scratch_row *r = scratch_at(row);
	struct wire_rule_set *set;
	volatile struct rule_walk *w;

	if (!r)
		return WIRE_VERDICT_UNSURE;
	w = &r->rules;
	set = bpf_map_lookup_elem(&path_rule_sets, (__u32 *)&w->set);
	if (!set || begin >= end || end > SCRATCH_BYTES)
		return WIRE_VERDICT_UNSURE;
	w->verdict = WIRE_VERDICT_NONE;
	if (!set->automata)
		return WIRE_VERDICT_NONE;
	w->first_state = set->first_state;
	w->first_edge = set->first_edge;
	w->first_verdict = set->first_verdict;
	w->begin = begin;
	w->end = end;
	w->is_reversed = is_reversed;
	w->automaton = 0;
	w->state = set->starts[0];
	w->component = end - 1;
	w->at = is_reversed ? end - 1 : begin;
	w->is_over = 0;
	w->goes_back = is_reversed;
	for (int i = 0; i < RULE_BLOCKS; i++) {
		if (!rule_block(row, kind))
			return w->verdict;
	}
	return WIRE_VERDICT_UNSURE;
}

/* Takes the set in force for this row. False: there are no rules on paths. */
static __always_inline bool begin_rules(struct scratch_row *r)
{
	__u32 zero = 0;
	__u32 *now = bpf_map_lookup_elem(&path_rules_now, &zero);
	__u32 set = now ? *(volatile __u32 *)now : 0;

	if (!set)
		return false;
	r->rules.set = set - 1;
	return true;
}

static __always_inline void count_drop(struct wire_rule_set *set, __u32 verdict)
{
	__u32 row = set->first_count + (verdict >> 1);
	__u64 *count = bpf_map_lookup_elem(&path_rule_drops, &row);

	if (count)
		__sync_fetch_and_add(count, 1);
}
