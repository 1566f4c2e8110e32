/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The cgroup that a task belongs to. */
#pragma once
#include "read.bpf.h"

/* include/linux/cgroup_subsys.h; the numbers depend on the configuration, CO-RE finds the running kernel's. */
enum cgroup_subsys_id {
	memory_cgrp_id = 1,
	pids_cgrp_id = 2,
};

static __always_inline struct cgroup *cgroup_of_subsystem(struct css_set *set, __u32 subsystem)
{
	__u64 at = (__u64)set + bpf_core_field_offset(struct css_set, subsys) + subsystem * sizeof(void *);
	struct cgroup_subsys_state *css = READ_AT(struct cgroup_subsys_state *, at);

	return READ(css, cgroup);
}

/* The cgroup that says where the task belongs: that of the unified hierarchy; on machines that still manage with
 * version 1, where every task sits in the unified root, that of the memory or pids controller. */
static __always_inline struct cgroup *task_cgroup(struct task_struct *task)
{
	struct css_set *set = READ(task, cgroups);
	struct cgroup *cgroup = READ(set, dfl_cgrp);
	struct cgroup *old;

	if (READ(cgroup, level) > 0)
		return cgroup;
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
		old = cgroup_of_subsystem(set, bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id));
		if (old && READ(old, level) > 0)
			return old;
	}
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) {
		old = cgroup_of_subsystem(set, bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id));
		if (old && READ(old, level) > 0)
			return old;
	}
	return cgroup;
}
