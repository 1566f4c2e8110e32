/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
#include "read.bpf.h"

/* A capability set of a struct cred, as a number. */
#define read_capabilities(cred, set) READ_AT(__u64, (void *)(cred) + bpf_core_field_offset(struct cred, set))
