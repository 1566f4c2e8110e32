/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* System calls as the tracepoints sys_enter and sys_exit show them, and descriptors. */
#pragma once
#include "read.bpf.h"

/* The arguments of a system call, as the calling convention has them. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct thread_info___x86 {
	__u32 status;
};
struct thread_info___arm64 {
	unsigned long flags;
};
struct task_struct___threaded {
	struct thread_info___x86 thread_info;
};
struct pt_regs___x86 {
	unsigned long di, si, dx, r10, r8, orig_ax;
};
struct pt_regs___arm64 {
	__u64 orig_x0;
	int syscallno;
};
#pragma clang attribute pop

struct arguments {
	__u64 args[5];
};

static __always_inline void read_arguments(struct arguments *a, void *registers)
{
#if defined(__TARGET_ARCH_x86)
	struct pt_regs___x86 *regs = registers;

	a->args[0] = BPF_CORE_READ(regs, di);
	a->args[1] = BPF_CORE_READ(regs, si);
	a->args[2] = BPF_CORE_READ(regs, dx);
	a->args[3] = BPF_CORE_READ(regs, r10);
	a->args[4] = BPF_CORE_READ(regs, r8);
#else
	bpf_probe_read_kernel(a, sizeof(*a), registers); /* struct pt_regs begins with them */
#endif
}

/* The same at its entry: the context can be read at constant offsets only. */
static __always_inline void entered_with(struct arguments *a, struct sys_enter_ctx *ctx)
{
	a->args[0] = ctx->args[0];
	a->args[1] = ctx->args[1];
	a->args[2] = ctx->args[2];
	a->args[3] = ctx->args[3];
	a->args[4] = ctx->args[4];
	barrier();
}

/* A 32-bit program: its calls have other numbers. */
static __always_inline bool is_compat(void)
{
#if defined(__TARGET_ARCH_x86)
	struct task_struct___threaded *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread_info.status) & 2; /* TS_COMPAT, arch/x86/include/asm/thread_info.h */
#else
	unsigned long flags = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), (void *)bpf_get_current_task());
	return flags & (1UL << 22); /* TIF_32BIT, first member of struct thread_info, first of struct task_struct */
#endif
}

/* The number of the call that ends, in a program of kind tp_btf: a plain load, for every system call of every process
 * comes here. */
static __always_inline __u64 number_of_ending_call(__u64 *ctx)
{
#if defined(__TARGET_ARCH_x86)
	return ((struct pt_regs___x86 *)ctx[0])->orig_ax;
#else
	return (__u64)((struct pt_regs___arm64 *)ctx[0])->syscallno;
#endif
}

/* The number of the call that ends, and its arguments: the first was overwritten by the result on arm64. */
static __always_inline __u64 ending_call(struct arguments *a, void *registers)
{
	read_arguments(a, registers);
#if defined(__TARGET_ARCH_x86)
	struct pt_regs___x86 *regs = registers;

	return BPF_CORE_READ(regs, orig_ax);
#else
	struct pt_regs___arm64 *regs = registers;

	a->args[0] = BPF_CORE_READ(regs, orig_x0);
	return BPF_CORE_READ(regs, syscallno);
#endif
}

/* ---- Descriptors ---- */

static __always_inline struct file *file_of(__s32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files, *file = NULL;

	if (fd < 0 || (__u32)fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}
