/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Signals from one process to another (or to itself) that end or stop it. */
#include "target.bpf.h"
#include "wire/signal.h"

/* include/uapi/asm-generic/siginfo.h */
#define SI_USER 0
#define SI_QUEUE (-1)
#define SI_TKILL (-6)
/* include/linux/sched/signal.h: siginfo pointers that are none */
#define SEND_SIG_NOINFO 0
#define SEND_SIG_PRIV 1
/* include/trace/events/signal.h */
#define TRACE_SIGNAL_DELIVERED 0
#define TRACE_SIGNAL_ALREADY_PENDING 2
#define TRACE_SIGNAL_LOSE_INFO 4

#define BIT_OF(sig) (1ULL << ((sig) - 1))
/* SIGCHLD, SIGCONT, SIGURG, SIGWINCH: by default nothing happens. */
#define HARMLESS (BIT_OF(17) | BIT_OF(18) | BIT_OF(23) | BIT_OF(28))
/* SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU: what they ask for is the end or a stop, also of
 * a process that handles them. */
#define ASKING (BIT_OF(1) | BIT_OF(2) | BIT_OF(3) | BIT_OF(6) | BIT_OF(15) | BIT_OF(20) | BIT_OF(21) | BIT_OF(22))

/* Sent by a process: by kill, tkill, tgkill, sigqueue, pidfd_send_signal. */
static __always_inline bool is_from_process(void *info)
{
	int code;

	if ((__u64)info == SEND_SIG_NOINFO)
		return true;
	if ((__u64)info <= SEND_SIG_PRIV)
		return false;
	code = READ((struct kernel_siginfo *)info, si_code);
	return code == SI_USER || code == SI_QUEUE || code == SI_TKILL;
}

static __always_inline bool has_handler(struct task_struct *target, int sig)
{
	struct sighand_struct *hand = READ(target, sighand);
	struct k_sigaction *action = (void *)hand + bpf_core_field_offset(struct sighand_struct, action) +
				     (__u64)(sig - 1) * bpf_core_type_size(struct k_sigaction);

	return READ(action, sa.sa_handler) != 0;
}

static __always_inline int kill_body(void *ctx, int sig, void *info, struct task_struct *target, int result,
				     const int copy)
{
	struct task_struct *sender = (void *)bpf_get_current_task();
	struct signal_sent *rec;
	struct pool_row *row;

	if (sig < 1 || sig > 64 || (HARMLESS & BIT_OF(sig)) ||
	    (result != TRACE_SIGNAL_DELIVERED && result != TRACE_SIGNAL_LOSE_INFO) || !is_from_process(info))
		return 0;
	if (already_done(READ(sender, pid), WIRE_KILL, copy) || !current_in_scope())
		return 0;
	mark_done(READ(sender, pid), WIRE_KILL, copy);
	if (has_handler(target, sig) && (!(ASKING & BIT_OF(sig)) || READ(sender, tgid) == READ(target, tgid)))
		return 0;
	row = take_row(WIRE_KILL);
	if (!row)
		return 0;
	rec = record_in(row, struct signal_sent);
	if (begin_event(ctx, row, (void *)rec, WIRE_KILL)) {
		fill_target(&rec->target, target);
		rec->number = sig;
		rec->name = sig;
		send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
	}
	give_back(row);
	return 0;
}

/* signal_generate(sig, info, task, group, result) */
WITH_STAND_INS("tp_btf/signal_generate", signal_kill__tp_btf, __u64,
	       kill_body(ctx, ctx[0], (void *)ctx[1], (struct task_struct *)ctx[2], ctx[4], copy))
WITH_STAND_INS("raw_tp/signal_generate", signal_kill__raw_tp, struct bpf_raw_tracepoint_args,
	       kill_body(ctx, ctx->args[0], (void *)ctx->args[1], (void *)ctx->args[2], ctx->args[4], copy))

char LICENSE[] SEC("license") = "Dual BSD/GPL";
