/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whom the programs look at. Asked first in every program: what is out of scope is not read, and costs one hash lookup
 * or a few reads. */
#pragma once
#include "task.bpf.h"

#ifndef NIGHTJAR_LEGACY
const volatile __u32 scope_mode __weak = WIRE_SCOPE_ALL;
const volatile __u64 scope_cgroup __weak = 0;       /* id */
const volatile __u32 scope_cgroup_level __weak = 0; /* depth below the hierarchy's root */
#endif

/* More processes than most machines run; one that does not fit is counted (counters[WIRE_SCOPE_FULL]), not silently
 * left out. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct wire_scope_entry);
} scope_tree __weak SEC(".maps");

static __always_inline bool cgroup_in_scope(struct task_struct *task)
{
	struct cgroup *cgroup = READ(task, cgroups, dfl_cgrp);

#ifdef NIGHTJAR_LEGACY
	/* What a cgroup knows of its ancestors has another meaning before 5.5: so up to 16 levels below the given
	 * one. */
	struct kernfs_node *node = READ(cgroup, kn);
	__u64 wanted = scope_cgroup;

#define LEVEL_UP                                \
	STOP_UNLESS(node);                      \
	STOP_UNLESS(kernfs_id(node) != wanted); \
	node = kernfs_parent(node);
#define FOUR_LEVELS_UP LEVEL_UP LEVEL_UP LEVEL_UP LEVEL_UP
	/* The compiler does not unroll a loop here. */
	FOUR_LEVELS_UP FOUR_LEVELS_UP FOUR_LEVELS_UP FOUR_LEVELS_UP LOOP_END;
	return node && kernfs_id(node) == wanted;
#else
	if (READ(cgroup, level) < (int)scope_cgroup_level)
		return false;
	return cgroup_ancestor_id(cgroup, scope_cgroup_level) == scope_cgroup;
#endif
}

static __always_inline struct wire_scope_entry *scope_entry(struct task_struct *task, const bool direct)
{
	__u32 tgid = KREAD(task, tgid);
	struct wire_scope_entry *entry = bpf_map_lookup_elem(&scope_tree, &tgid);

	if (!entry || (entry->start_ns && entry->start_ns != start_ns_of(KREAD(task, group_leader), direct)))
		return NULL;
	return entry;
}

static __always_inline bool in_scope(struct task_struct *task, const bool direct)
{
	struct wire_scope_entry *entry;

	switch (scope_mode) {
	case WIRE_SCOPE_TREE:
		entry = scope_entry(task, direct);
		return entry && !entry->children_only;
	case WIRE_SCOPE_CGROUP:
		return cgroup_in_scope(task);
	default:
		return true;
	}
}

static __always_inline void enter_scope(struct task_struct *leader, const bool direct)
{
	struct wire_scope_entry entry = {};
	__u32 tgid = KREAD(leader, tgid);

	entry.start_ns = start_ns_of(leader, direct);
	if (bpf_map_update_elem(&scope_tree, &tgid, &entry, BPF_ANY))
		count_loss(WIRE_SCOPE_FULL, bpf_ktime_get_boot_ns());
}

/* A new process is in a tree when whoever called clone is: CLONE_PARENT does not lead out of it. */
static __always_inline bool fork_in_scope(struct task_struct *creator, struct task_struct *child, const bool direct)
{
	if (scope_mode != WIRE_SCOPE_TREE)
		return in_scope(child, direct);
	if (!scope_entry(creator, false))
		return false;
	enter_scope(child, direct);
	return true;
}

/* The kernel may have skipped the program at the fork (it counts that: events_lost, reason "missed"). One event is lost
 * then, not all that the process and its children ever do: an exec takes it into the tree that its parent is in. */
static __always_inline bool exec_in_scope(struct task_struct *task, const bool direct)
{
	struct wire_scope_entry *entry;

	if (scope_mode != WIRE_SCOPE_TREE)
		return in_scope(task, direct);
	entry = scope_entry(task, direct);
	if (entry)
		return !entry->children_only;
	if (!scope_entry(READ(task, real_parent), false))
		return false;
	enter_scope(task, direct);
	return true;
}

static __always_inline void leave_scope(__u32 tgid)
{
	if (scope_mode == WIRE_SCOPE_TREE)
		bpf_map_delete_elem(&scope_tree, &tgid);
}
