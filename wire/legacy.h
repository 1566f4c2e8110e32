/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs of the legacy tier are told through a map: kernels before 5.2 have no global data. */
#pragma once
#include "wire/base.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

/* Map "settings", one entry. The members are what the other tiers have as constants of the same names. */
struct wire_legacy_settings {
	__u64 sequence_base;
	__u64 boot_offset_ns; /* CLOCK_BOOTTIME - CLOCK_MONOTONIC: grows when the machine is suspended */
	__u64 scope_cgroup;
	__u32 scope_mode;
	__u32 scope_cgroup_level;
	__u32 want_env;
	__u32 file_wanted;
};
WIRE_ASSERT(sizeof(struct wire_legacy_settings) == 40);

#pragma GCC diagnostic pop
