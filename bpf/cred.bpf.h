/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
#include "read.bpf.h"

/* A capability set of a struct cred, as a number. */
#define read_capabilities(cred, set)                                                             \
	({                                                                                       \
		__u64 caps_ = 0;                                                                 \
		bpf_probe_read_kernel(&caps_, sizeof(caps_),                                     \
				      (void *)(cred) + bpf_core_field_offset(struct cred, set)); \
		caps_;                                                                           \
	})
