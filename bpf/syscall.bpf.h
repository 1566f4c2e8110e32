/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* System calls as programs at their entry and end see them, and descriptors. */
#pragma once
#include "fixes.bpf.h"

/* What the kernel gives programs at raw_tp/sys_enter and raw_tp/sys_exit (include/trace/events/syscalls.h). A program
 * of one system call, or of some, is called from the two of all (syscalls.bpf.c); its section names the call:
 * raw_tp/syscalls/sys_enter_NAME. */
struct call_enters {
	__u64 registers;
	__s64 nr;
};
struct call_exits {
	__u64 registers;
	__s64 ret;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct thread_info___x86 {
	__u32 status;
};
struct task_struct___threaded {
	struct thread_info___x86 thread_info;
};
struct pt_regs___x86 {
	unsigned long orig_ax;
};
struct pt_regs___arm64 {
	__u64 orig_x0;
	int syscallno;
};
#pragma clang attribute pop

/* An argument of a system call, from the registers that its function was given. Their layout is ABI, hence no CO-RE
 * (whose names for them differ between the kernel's and the user's headers). */
#define SAVED_REGISTER(regs, type, member) READ_AT(unsigned long, (void *)(regs) + __builtin_offsetof(type, member))
#if defined(__TARGET_ARCH_x86)
#define SYSCALL_PARM1(regs) SAVED_REGISTER(regs, struct pt_regs, rdi)
#define SYSCALL_PARM2(regs) SAVED_REGISTER(regs, struct pt_regs, rsi)
#define SYSCALL_PARM3(regs) SAVED_REGISTER(regs, struct pt_regs, rdx)
#define SYSCALL_PARM4(regs) SAVED_REGISTER(regs, struct pt_regs, r10)
#define SYSCALL_PARM5(regs) SAVED_REGISTER(regs, struct pt_regs, r8)
/* 32-bit programs pass them otherwise, and have functions of their own (arch/x86/include/asm/syscall_wrapper.h). */
#define COMPAT_PARM1(regs) SAVED_REGISTER(regs, struct pt_regs, rbx)
#define COMPAT_PARM2(regs) SAVED_REGISTER(regs, struct pt_regs, rcx)
#define COMPAT_PARM5(regs) SAVED_REGISTER(regs, struct pt_regs, rdi)
#else
#define SYSCALL_PARM1(regs) SAVED_REGISTER(regs, struct user_pt_regs, regs[0])
#define SYSCALL_PARM2(regs) SAVED_REGISTER(regs, struct user_pt_regs, regs[1])
#define SYSCALL_PARM3(regs) SAVED_REGISTER(regs, struct user_pt_regs, regs[2])
#define SYSCALL_PARM4(regs) SAVED_REGISTER(regs, struct user_pt_regs, regs[3])
#define SYSCALL_PARM5(regs) SAVED_REGISTER(regs, struct user_pt_regs, regs[4])
#endif

struct arguments {
	__u64 args[6];
};

/* All at once, at a call's entry or end. */
static __always_inline struct arguments arguments_of(__u64 registers)
{
	struct arguments a = {};
#if defined(__TARGET_ARCH_x86)
	struct {
		__u64 r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	} saved;

	if (bpf_probe_read_kernel(&saved, sizeof(saved), (void *)registers + __builtin_offsetof(struct pt_regs, r10)))
		return a;
	a.args[0] = saved.rdi;
	a.args[1] = saved.rsi;
	a.args[2] = saved.rdx;
	a.args[3] = saved.r10;
	a.args[4] = saved.r8;
	a.args[5] = saved.r9;
#else
	struct pt_regs___arm64 *regs = (void *)registers;

	bpf_probe_read_kernel(&a, sizeof(a), (void *)registers); /* struct pt_regs begins with them */
	a.args[0] = READ(regs, orig_x0);                         /* at its end the result stands in the first's place */
#endif
	return a;
}

/* Every system call of every process is asked for its number, and whether it is a 32-bit program's: where the kernel
 * shows them by plain loads, 40 ns less each than bpf_probe_read_kernel. */

/* The number of the call that ends. */
static __always_inline __u64 number_of_ending_call(struct call_exits *ctx)
{
#if defined(__TARGET_ARCH_x86)
	if (SHOWS_REGISTERS && !plain_loads)
		return ((struct pt_regs___x86 *)bpf_task_pt_regs(bpf_get_current_task_btf()))->orig_ax;
	return SAVED_REGISTER(ctx->registers, struct pt_regs, orig_rax);
#else
	struct pt_regs___arm64 *regs = (void *)ctx->registers;

	return (__u64)READ(regs, syscallno);
#endif
}

/* A 32-bit program: its calls have other numbers. */
static __always_inline bool is_compat(void)
{
#if defined(__TARGET_ARCH_x86)
	struct task_struct___threaded *task;
	__u32 status;

	if (SHOWS_REGISTERS) {
		task = (void *)bpf_get_current_task_btf();
		status = task->thread_info.status;
	} else {
		task = (void *)bpf_get_current_task();
		status = READ(task, thread_info.status);
	}
	return status & 2; /* TS_COMPAT, arch/x86/include/asm/thread_info.h */
#else
	return READ_AT(unsigned long, bpf_get_current_task()) &
	       (1UL << 22); /* TIF_32BIT, first member of struct thread_info, first of struct task_struct */
#endif
}

/* ---- Descriptors ---- */

static __always_inline struct file *file_of(__s32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = READ(task, files, fdt);
	struct file **files;

	if (fd < 0 || (__u32)fd >= READ(table, max_fds))
		return NULL;
	files = READ(table, fd);
	return READ_AT(struct file *, files + fd);
}
