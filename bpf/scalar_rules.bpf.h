/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rules that hold events back, asked before anything is read for the event. What they drop is counted by rule and
 * by kind. A rule drops only what it matches for certain; everything else goes to user space, which asks all rules. */
#pragma once
#include "cgroup.bpf.h"
#include "fixes.bpf.h"
#include "wire/scalar_rules.h"

/* There are rules, or there may be some after a reload. Otherwise nothing of this is left in the programs. */
const volatile __u32 use_rules __weak = 0;

/* Two sets: one is in force (wire_reader::rules), the other is written for the next reload. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct wire_scalar_set);
} rule_sets __weak SEC(".maps");

/* What each rule dropped: (cpu * 2 + set) * (WIRE_RULES + 1) + rule; the last of a set counts what no rule matched.
 * User space sets the size. */
MAPPED_ARRAY(rule_counts, 2 * (WIRE_RULES + 1), __u64);

/* Time of each process's last exec. Verdicts are given by user space, after the fact, and must not be taken for those
 * on the next image. LRU: a process that is forgotten is asked for in user space. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} exec_times __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, struct wire_image_key);
	__type(value, struct wire_verdict);
} image_verdicts __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, __u64);
	__type(value, struct wire_verdict);
} cgroup_verdicts __weak SEC(".maps");

static __always_inline bool in_ranges(const struct wire_scalar_range *ranges, __u32 value)
{
	for (int i = 0; i < WIRE_RULE_RANGES; i++) {
		if (value >= ranges[i].first && value <= ranges[i].last)
			return true;
	}
	return false;
}

static __always_inline __u32 scalar_rules_now(void)
{
	__u32 zero = 0;
	struct wire_reader *r = bpf_map_lookup_elem(&reader, &zero);

	return r ? r->rules : 0;
}

#define NO_PORTS (1ULL << 63)
#define VERDICT_KNOWN (1ULL << 32)

enum rule_says {
	RULE_MATCHES_NOT = 0,
	RULE_LETS_PASS = 1, /* or is not sure: user space asks */
	RULE_DROPS = 2,
	RULES_END = 3, /* there is no such rule */
};

/* What one rule says. `where`: kind | rule << 8 | set << 16; `users`: effective | login << 32; `ports`: source |
 * destination << 16, or NO_PORTS; `image`, `group`: the verdicts' bits, with VERDICT_KNOWN. Global, so that the
 * verifier checks it once and not once for each rule. */
__weak __noinline int ask_rule(__u64 where, __u64 users, __u64 ports, __u64 image, __u64 group)
{
	__u32 slot = where >> 16 & 1, at = where >> 8 & 0xff, kind = where & 63;
	struct wire_scalar_set *set = bpf_map_lookup_elem(&rule_sets, &slot);
	struct wire_scalar_rule *rule;
	bool sure;

	if (!set || at >= set->count || at >= WIRE_RULES)
		return RULES_END;
	rule = &set->rules[at];
	if (!(rule->kinds >> kind & 1))
		return RULE_MATCHES_NOT;
	sure = !(rule->flags & WIRE_RULE_UNSURE);
	if ((rule->flags & WIRE_RULE_UID) && !in_ranges(rule->uid, users))
		return RULE_MATCHES_NOT;
	if ((rule->flags & WIRE_RULE_LOGIN_UID) && !in_ranges(rule->login_uid, users >> 32))
		return RULE_MATCHES_NOT;
	if (rule->flags & WIRE_RULE_PORT) {
		if (ports & NO_PORTS)
			sure = false;
		else if (!in_ranges(rule->port, ports & 0xffff) && !in_ranges(rule->port, ports >> 16 & 0xffff))
			return RULE_MATCHES_NOT;
	}
	if (rule->flags & WIRE_RULE_IMAGE) {
		if (!(image & VERDICT_KNOWN))
			sure = false;
		else if (!(image >> at & 1))
			return RULE_MATCHES_NOT;
	}
	if (rule->flags & WIRE_RULE_CGROUP) {
		if (!(group & VERDICT_KNOWN))
			sure = false;
		else if (!(group >> at & 1))
			return RULE_MATCHES_NOT;
	}
	return sure && (rule->flags & WIRE_RULE_DROP) ? RULE_DROPS : RULE_LETS_PASS;
}

/* 1: kinds that no rule matches are dropped. */
__weak __noinline int drops_others(__u32 slot, __u32 kind)
{
	struct wire_scalar_set *set = bpf_map_lookup_elem(&rule_sets, &slot);

	return set && kind < 64 ? set->drop_others >> kind & 1 : 0;
}

static __always_inline __u64 verdict_of(struct wire_verdict *verdict, __u32 generation, __u64 start_ns)
{
	if (!verdict || verdict->generation != generation || verdict->start_ns != start_ns)
		return 0;
	return verdict->rules | VERDICT_KNOWN;
}

/* 1: a rule drops the event, and has counted it. `what`: kind, and above its eight bits the ports as ask_rule has them,
 * or NO_PORTS. */
__weak __noinline int scalar_drop(__u64 what, __u64 users, __u64 cgroup, __u32 pid, __u64 start_ns)
{
	__u32 state = scalar_rules_now();
	__u32 slot = (state & WIRE_RULES_SLOT) - 1;
	struct wire_scalar_set *set = bpf_map_lookup_elem(&rule_sets, &slot);
	__u64 ports = what & NO_PORTS ? NO_PORTS : what >> 8, image = 0, group = 0;
	__u32 kind = what & 63, at, row = WIRE_RULES;
	int says = RULES_END;
	__u64 *count;

	if (!set)
		return 0;
	if (state & WIRE_RULES_ASK_IMAGE) {
		__u64 *exec_ns = bpf_map_lookup_elem(&exec_times, &pid);
		struct wire_image_key key = { .exec_ns = exec_ns ? *exec_ns : 0, .pid = pid };

		image = verdict_of(bpf_map_lookup_elem(&image_verdicts, &key), set->generation, start_ns);
	}
	if (state & WIRE_RULES_ASK_CGROUP)
		group = verdict_of(bpf_map_lookup_elem(&cgroup_verdicts, &cgroup), set->generation, 0);
	for (at = 0; at < WIRE_RULES; at++) {
		says = ask_rule(kind | at << 8 | slot << 16, users, ports, image, group);
		if (says != RULE_MATCHES_NOT)
			break;
		says = RULES_END; /* when it was the last that there is room for */
	}
	if (says == RULES_END) {
		if (!drops_others(slot, kind))
			return 0;
	} else if (says == RULE_DROPS) {
		row = at;
	} else {
		return 0;
	}
	row += (bpf_get_smp_processor_id() * 2 + slot) * (WIRE_RULES + 1);
	count = bpf_map_lookup_elem(&rule_counts, &row);
	if (!count)
		return 0;
	__sync_fetch_and_add(count, 1);
	return 1;
}

/* Whether the rules drop an event of the current task. */
static __always_inline bool scalar_drop_current(__u16 kind)
{
	struct task_struct *task;
	__u64 users = 0, cgroup = 0, start_ns = 0;
	__u32 state, pid = 0;

	if (!use_rules || (WIRE_KINDS_KEPT >> kind & 1))
		return false;
	state = scalar_rules_now();
	if (!state)
		return false;
	task = (void *)bpf_get_current_task();
	if (state & WIRE_RULES_ASK_USER)
		users = READ(task, real_cred, euid.val) | (__u64)task_login_uid(task) << 32;
	if (state & WIRE_RULES_ASK_CGROUP)
		cgroup = READ(task_cgroup(task), kn, id);
	if (state & WIRE_RULES_ASK_IMAGE) {
		pid = READ(task, tgid);
		start_ns = READ(task, group_leader, start_boottime);
	}
	return scalar_drop(kind | NO_PORTS, users, cgroup, pid, start_ns);
}

/* The same for a record that knows already who acts, and between which ports. */
static __always_inline bool scalar_drop_record(__u16 kind, const struct wire_task *task, __u32 source_port,
					       __u32 destination_port)
{
	if (!use_rules || !scalar_rules_now())
		return false;
	return scalar_drop(kind | (__u64)(source_port & 0xffff) << 8 | (__u64)(destination_port & 0xffff) << 24,
			   task->uid | (__u64)task->login_uid << 32, task->cgroup_id, task->pid, task->start_ns);
}

/* A process runs something else from now on. */
static __always_inline void scalar_note_exec(__u32 pid, __u64 exec_ns)
{
	if (use_rules)
		bpf_map_update_elem(&exec_times, &pid, &exec_ns, BPF_ANY);
}
