/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ptrace, for the programs of every tier. */
#pragma once
#include "target.bpf.h"

/* include/uapi/linux/ptrace.h */
#define PTRACE_TRACEME 0
#define PTRACE_CONT 7
#define PTRACE_SINGLESTEP 9
#define PTRACE_ATTACH 16
#define PTRACE_DETACH 17
#define PTRACE_SYSCALL 24
#define PTRACE_SYSEMU 31
#define PTRACE_SYSEMU_SINGLESTEP 32
#define PTRACE_SINGLEBLOCK 33
#define PTRACE_GETEVENTMSG 0x4201
#define PTRACE_GETSIGINFO 0x4202
#define PTRACE_SEIZE 0x4206
#define PTRACE_LISTEN 0x4208
#define PTRACE_GET_SYSCALL_INFO 0x420e
/* include/linux/ptrace.h */
#define PT_SEIZED 0x00010000
/* linux/err.h */
#define MAX_ERRNO 4095
#define is_error(value) ((unsigned long)(value) >= (unsigned long)-MAX_ERRNO)

/* Requests that only let the target run on or look at why it stopped: a tracer makes them at every stop. */
#define ROUTINE_LOW                                                                                         \
	(1ULL << PTRACE_CONT | 1ULL << PTRACE_SINGLESTEP | 1ULL << PTRACE_SYSCALL | 1ULL << PTRACE_SYSEMU | \
	 1ULL << PTRACE_SYSEMU_SINGLESTEP | 1ULL << PTRACE_SINGLEBLOCK)
#define PTRACE_HIGH 0x4200
#define ROUTINE_HIGH                                                                              \
	(1ULL << (PTRACE_GETEVENTMSG - PTRACE_HIGH) | 1ULL << (PTRACE_GETSIGINFO - PTRACE_HIGH) | \
	 1ULL << (PTRACE_LISTEN - PTRACE_HIGH) | 1ULL << (PTRACE_GET_SYSCALL_INFO - PTRACE_HIGH))
static __always_inline bool is_routine(__u64 request)
{
	if (request < 64)
		return ROUTINE_LOW >> request & 1;
	request -= PTRACE_HIGH;
	return request < 64 && (ROUTINE_HIGH >> request & 1);
}

/* `target` or, where only that is known, the number that the caller gave. */
static __always_inline int tell_ptrace(void *ctx, struct task_struct *target, __u32 number, __u64 request,
				       __u64 address)
{
	struct pool_row *row = take_row(WIRE_PTRACE);
	struct ptrace_done *rec;

	if (!row)
		return 0;
	rec = record_in(row, struct ptrace_done);
	if (begin_event(ctx, row, (void *)rec, WIRE_PTRACE)) {
		if (target)
			fill_target(&rec->target, target);
		else
			fill_target_by_number(&rec->target, &rec->hdr.incomplete, number);
		rec->request = request;
		rec->address = address;
		add_cgroup(ctx, row, (void *)rec);
		send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
	}
	give_back(row);
	return 0;
}
