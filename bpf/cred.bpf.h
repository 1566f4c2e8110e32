/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a struct cred says, into whatever record has members of these names. `direct`, as for KREAD, is the caller's. */
#pragma once
#include "read.bpf.h"

/* The effective ids are those of the name alone. */
#define put_ids(out, cred)                           \
	do {                                         \
		(out)->uid = KREAD(cred, euid.val);  \
		(out)->gid = KREAD(cred, egid.val);  \
		(out)->ruid = KREAD(cred, uid.val);  \
		(out)->rgid = KREAD(cred, gid.val);  \
		(out)->suid = KREAD(cred, suid.val); \
		(out)->sgid = KREAD(cred, sgid.val); \
	} while (0)

/* A capability set, as a number. */
#define read_capabilities(cred, set) READ_AT(__u64, (void *)(cred) + bpf_core_field_offset(struct cred, set))

#define put_capabilities(out, cred)                                                \
	do {                                                                       \
		(out)->cap_effective = read_capabilities(cred, cap_effective);     \
		(out)->cap_permitted = read_capabilities(cred, cap_permitted);     \
		(out)->cap_inheritable = read_capabilities(cred, cap_inheritable); \
		(out)->cap_bounding = read_capabilities(cred, cap_bset);           \
		(out)->cap_ambient = read_capabilities(cred, cap_ambient);         \
	} while (0)
