/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The path rules as the kernel matches them: deterministic automata over the bytes of a path, in tables that the agent
 * compiles (src/agent/glob_automaton.hpp). Not events: the maps "path_rule_*" hold these. */
#pragma once
#include <linux/types.h>

#include "wire/base.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

/* Kinds from WIRE_FILE_CREATE on. */
#define WIRE_FILE_KINDS 16
WIRE_ASSERT(WIRE_FILE_UTIMES - WIRE_FILE_CREATE + 1 == WIRE_FILE_KINDS);

/* Globs whose automata would multiply each other's states are in automata of their own; a path goes through each. */
#define WIRE_RULE_AUTOMATA 32

/* A verdict is the number of a rule, from 1, twice, and one if it drops: the least one is that of the first rule that
 * matches. The default counts as a rule behind the last. */
#define WIRE_VERDICT_UNSURE 0 /* less than any, and keeps: the path is too long, user space decides */
#define WIRE_VERDICT_DROPS 1
#define WIRE_VERDICT_NONE 0xffff /* no rule; greater than any */

/* State 0 of each set of rules is dead: nothing can match any more. */
struct wire_rule_state {
	__u32 base;    /* the edge for byte B is at base + B, if that is an edge from here */
	__u32 other;   /* the next state for every other byte */
	__u32 verdict; /* row of the verdicts, when the path ends here */
	__u32 is_final; /* every byte leads back here */
};
WIRE_ASSERT(sizeof(struct wire_rule_state) == 16);

struct wire_rule_edge {
	__u32 from, next;
};
WIRE_ASSERT(sizeof(struct wire_rule_edge) == 8);

struct wire_rule_verdict {
	__u16 of[WIRE_FILE_KINDS];
};
WIRE_ASSERT(sizeof(struct wire_rule_verdict) == 32);

/* A set of rules. There is room for two: the one in force and the one that is being written. */
struct wire_rule_set {
	__u32 first_state, first_edge, first_verdict, first_count; /* where its rows are in the maps */
	__u32 automata;
	__u32 starts[WIRE_RULE_AUTOMATA];
	__u16 others[WIRE_FILE_KINDS]; /* the verdict when no glob matches */
	__u32 pad0;
};
WIRE_ASSERT(sizeof(struct wire_rule_set) == 5 * 4 + 32 * 4 + 32 + 4);
#define WIRE_RULE_SETS 2

#pragma GCC diagnostic pop
