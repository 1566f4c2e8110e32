/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rules of the configuration, as far as the kernel side can ask them. User space writes them (src/agent/scalar_rules.cpp),
 * the programs read them (bpf/scalar_rules.bpf.h). */
#pragma once
#include "wire/base.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

#define WIRE_RULES 32 /* what comes behind is asked in user space */
#define WIRE_RULE_RANGES 4

/* Kinds that user space needs whatever the rules say: its table of processes comes from them, and joined parts. */
#define WIRE_KINDS_KEPT                                                                                     \
	(1ULL << WIRE_PROCESS_FORK | 1ULL << WIRE_PROCESS_EXEC | 1ULL << WIRE_PROCESS_EXIT |                \
	 1ULL << WIRE_PROCESS_SNAPSHOT | 1ULL << WIRE_EXEC_DATA | 1ULL << WIRE_EXEC_SCRIPT | 1ULL << WIRE_CGROUP | \
	 1ULL << WIRE_PATH_PART)

enum wire_scalar_flags {
	WIRE_RULE_DROP = 1 << 0,      /* else what matches goes to user space, which asks the rules itself */
	WIRE_RULE_UID = 1 << 1,       /* effective user id in `uid` */
	WIRE_RULE_LOGIN_UID = 1 << 2, /* audit login uid in `login_uid` */
	WIRE_RULE_PORT = 1 << 3,      /* one of the ports in `port` */
	WIRE_RULE_IMAGE = 1 << 4,     /* the rule's bit in the verdict on what the process runs */
	WIRE_RULE_CGROUP = 1 << 5,    /* the rule's bit in the verdict on the cgroup */
	WIRE_RULE_UNSURE = 1 << 6,    /* has a condition that only user space can ask */
};

/* From first to last; first > last: none. */
struct wire_scalar_range {
	__u32 first;
	__u32 last;
};

struct wire_scalar_rule {
	__u64 kinds; /* bit N: applies to kind N */
	__u32 flags; /* enum wire_scalar_flags */
	__u32 pad0;
	struct wire_scalar_range uid[WIRE_RULE_RANGES];
	struct wire_scalar_range login_uid[WIRE_RULE_RANGES];
	struct wire_scalar_range port[WIRE_RULE_RANGES];
};
WIRE_ASSERT(sizeof(struct wire_scalar_rule) == 112);

/* In order: the first that matches decides. */
struct wire_scalar_set {
	__u64 drop_others; /* kinds that are dropped when no rule matches */
	__u32 count;
	__u32 generation; /* verdicts of another one do not count */
	struct wire_scalar_rule rules[WIRE_RULES];
};
WIRE_ASSERT(sizeof(struct wire_scalar_set) == 16 + WIRE_RULES * 112);

/* wire_reader::rules: which of the two sets is in force, and what it asks for. */
#define WIRE_RULES_SLOT 3 /* 0: none; 1, 2: set 0, 1 */
enum wire_rules_ask {
	WIRE_RULES_ASK_USER = 1 << 2,
	WIRE_RULES_ASK_IMAGE = 1 << 3,
	WIRE_RULES_ASK_CGROUP = 1 << 4,
};

/* What a process runs, from one exec to the next. */
struct wire_image_key {
	__u64 exec_ns; /* time of the exec; 0: the process has not called exec under the sensor's eyes */
	__u32 pid;
	__u32 pad0;
};
WIRE_ASSERT(sizeof(struct wire_image_key) == 16);

/* Which rules' conditions a process's file, or a cgroup, meets: bit N for rule N. */
struct wire_verdict {
	__u64 start_ns; /* of the process */
	__u32 generation;
	__u32 rules;
};
WIRE_ASSERT(sizeof(struct wire_verdict) == 16);

#pragma GCC diagnostic pop
