/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The arguments of the functions that work on files, where a kprobe finds them. */
#pragma once
#include "file.bpf.h"
#include <asm/ptrace.h>
#include <bpf/bpf_tracing.h>

/* include/linux/fs.h */
#define ATTR_MODE 0x1
#define ATTR_UID 0x2
#define ATTR_GID 0x4
#define ATTR_SIZE 0x8
#define ATTR_ATIME 0x10
#define ATTR_MTIME 0x20
#define ATTR_FILE 0x2000

/* The event of a change of attributes; 0: none. */
static __always_inline __u32 setattr_kind(__u32 valid)
{
	if (valid & ATTR_SIZE)
		return WIRE_FILE_TRUNCATE;
	if (valid & (ATTR_UID | ATTR_GID))
		return WIRE_FILE_CHOWN;
	if (valid & ATTR_MODE)
		return WIRE_FILE_CHMOD;
	if (valid & (ATTR_ATIME | ATTR_MTIME))
		return WIRE_FILE_UTIMES;
	return 0;
}

#define PROBE_ARG_0 PT_REGS_PARM1(ctx)
#define PROBE_ARG_1 PT_REGS_PARM2(ctx)
#define PROBE_ARG_2 PT_REGS_PARM3(ctx)
#define PROBE_ARG_3 PT_REGS_PARM4(ctx)

/* Registers are always there, so both are loaded; at constant offsets, for the same reason. */
#define PROBE_AFTER_IDMAP(without, with)              \
	({                                            \
		__u64 first_ = without;               \
		__u64 second_ = with;                 \
		opaque(first_);                       \
		opaque(second_);                      \
		vfs_takes_idmap() ? second_ : first_; \
	})

#ifndef PT_REGS_PARM6 /* libbpf before 1.2 */
#if defined(__TARGET_ARCH_x86)
#define PT_REGS_PARM6(x) ((x)->r9)
#else
#define PT_REGS_PARM6(x) (((const struct user_pt_regs *)(x))->regs[5])
#endif
#endif

/* vfs_rename(old_dir, old_dentry, new_dir, new_dentry, delegated_inode, flags) before struct renamedata. */
#define HAS_RENAMEDATA bpf_core_type_exists(struct renamedata)
