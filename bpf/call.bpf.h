/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the families of rare events share: a pool of scratch, and calls that are looked at twice, when they begin and
 * when they end. */
#pragma once
#include "syscall.bpf.h"
#include "turn.bpf.h"
#include "wire/namespace.h"
#include <bpf/bpf_tracing.h>

/* ---- A pool of scratch ----
 *
 * A scratch for each program would take megabytes for programs that run once a minute. So there are COPIES rows on each
 * CPU, for all. Another program can come between on the same CPU (it preempts, or runs in an interrupt), so a row is
 * taken first: who adds one and reads one has it, whatever comes between, without an atomic exchange (5.12). An event
 * that finds all rows taken is counted as lost. */

#define TEXT_BYTES 4096
#define TYPE_BYTES 64
/* Two paths, two texts: the largest record, that of mount. */
#define POOL_TAIL (2 * PATH_BYTES + TEXT_BYTES + TYPE_BYTES)
#define POOL_FIXED 512

struct pool_row {
	__u64 holders;
	__u64 slot;
	/* The record: its struct, then its tail. */
	__u8 fixed[POOL_FIXED];
	__u8 tail[POOL_TAIL];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pool_row);
} pool_scratch __weak SEC(".maps");

#ifdef NIGHTJAR_LEGACY /* nothing comes between: legacy.bpf.h */
static __always_inline void give_back(struct pool_row *row)
{
}

static __always_inline struct pool_row *take_row(__u32 kind)
{
	struct pool_row *row = scratch_of(&pool_scratch, 0);

	if (row)
		row->slot = 0;
	return row;
}
#else
static __always_inline void give_back(struct pool_row *row)
{
	__sync_fetch_and_add(&row->holders, -1);
}

static __always_inline struct pool_row *take_row(__u32 kind)
{
	struct wire_counter *counter;

	for (int i = 0; i < COPIES; i++) {
		struct pool_row *row = scratch_of(&pool_scratch, i);

		if (!row)
			return NULL;
		__sync_fetch_and_add(&row->holders, 1);
		if (*(volatile __u64 *)&row->holders == 1) {
			row->slot = i;
			return row;
		}
		give_back(row);
	}
	counter = counter_of(kind);
	if (counter) {
		counter->happened++;
		count_loss(kind, bpf_ktime_get_boot_ns());
	}
	return NULL;
}
#endif

/* Every event's record begins so. The struct ends where the tail begins: it lies at the end of `fixed`. */
struct event_start {
	struct wire_header hdr;
	struct wire_task task;
};

#define record_in(row, type) ((type *)((row)->tail - sizeof(type)))

#ifdef NIGHTJAR_LEGACY /* the cgroup is added last: else the compiler lays out jumps backwards */
static __always_inline bool begin_event(void *ctx, struct pool_row *row, struct event_start *start, __u16 kind)
{
	if (!begin_record(&start->hdr, kind))
		return false;
	fill_task(&start->task, (void *)bpf_get_current_task(), false);
	return true;
}

static __always_inline void add_cgroup(void *ctx, struct pool_row *row, struct event_start *start)
{
	fill_cgroup(ctx, &start->hdr, &start->task, (void *)bpf_get_current_task());
}
#else
/* Header and actor: the current thread, into the record of `bytes` bytes that a row of the pool holds. Returns the
 * record of its cgroup, 0 for none; -1: there is no record. Global: what a program knows of its event multiplied
 * with the ways through this is more than the verifier should look at. */
__weak __noinline int make_event(__u32 copy, __u32 kind, __u32 bytes)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct pool_row *row = scratch_of(&pool_scratch, copy);
	struct event_start *start;
	__u64 at = POOL_FIXED - bytes;

	opaque(at);
	if (!row || at > POOL_FIXED)
		return -1;
	start = (void *)row->fixed + at;
	if (!begin_record(&start->hdr, kind))
		return -1;
	fill_task(&start->task, task, false);
	return begin_cgroup(&start->hdr, &start->task, task);
}

static __always_inline bool begin_event(void *ctx, struct pool_row *row, struct event_start *start, __u16 kind)
{
	int cgroup = make_event(row->slot, kind, row->tail - (__u8 *)start);

	if (cgroup < 0)
		return false;
	send_cgroup_record(ctx, &start->hdr, cgroup);
	return true;
}

static __always_inline void add_cgroup(void *ctx, struct pool_row *row, struct event_start *start)
{
}
#endif

/* Sends a record that ends `at` bytes into the tail. */
static __always_inline void end_event(void *ctx, void *buffer, struct wire_header *hdr, __u64 fixed, __u64 at)
{
	opaque(at);
	if (at > POOL_TAIL)
		at = POOL_TAIL;
	send_record(ctx, buffer, hdr, fixed + at);
}

static __always_inline bool current_in_scope(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return !(READ(task, flags) & PF_KTHREAD) && in_scope(task, false);
}

/* ---- What goes into a tail: each returns where the next thing goes ---- */

#ifndef NIGHTJAR_LEGACY
/* At most one path after another path. */
static __always_inline __u64 put_pool_path(struct pool_row *row, __u64 at, __u32 fixed, struct wire_slice *slice,
					   struct vfsmount *mnt, struct dentry *dentry, __u32 *incomplete,
					   __u32 missing, __u32 cut)
{
	__u64 len;

	opaque(at);
	if (at > PATH_BYTES)
		return at;
	len = put_path(row->tail + at, path_row_of(PATH_OF_POOL, row->slot), mnt, dentry, incomplete, missing, cut);
	slice->off = fixed + at;
	slice->len = len;
	return at + len;
}
#endif

/* Text of the kernel's, or (`user`) of the caller's; at most `limit` bytes with the terminator. */
static __always_inline __u64 put_pool_text(struct pool_row *row, __u64 at, __u32 fixed, struct wire_slice *slice,
					   const void *text, const bool user, const __u32 limit)
{
	long n;

	slice->off = 0;
	slice->len = 0;
	opaque(at);
	if (!text || at > POOL_TAIL - limit)
		return at;
	n = user ? bpf_probe_read_user_str(row->tail + at, limit, text)
		 : bpf_probe_read_kernel_str(row->tail + at, limit, text);
	if (n <= 0)
		return at;
	opaque(n); /* two comparisons: of one, on n - 1, 5.10 takes no bound for n */
	if (n > (long)limit)
		return at;
	slice->off = fixed + at;
	slice->len = n;
	return at + n;
}

/* ---- Calls ---- */

/* What is known when a call begins and wanted when it ends. LRU: the entry of a call that never ends is forgotten. */
struct call {
	__u64 args[6];
	struct wire_namespaces ns;
	__u32 pid_for_children;
	__u32 pad0;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct call);
} calls __weak SEC(".maps");

static __always_inline __u64 call_key(__u32 kind)
{
	return turn_key(bpf_get_current_pid_tgid(), kind);
}

static __always_inline void put_call(__u32 kind, struct call *call)
{
	__u64 key = call_key(kind);

	bpf_map_update_elem(&calls, &key, call, BPF_ANY);
}

static __always_inline int keep_call(__u32 kind, __u64 a, __u64 b, __u64 c, __u64 d, __u64 e, __u64 f)
{
	struct call call = { .args = { a, b, c, d, e, f } };

	if (current_in_scope())
		put_call(kind, &call);
	return 0;
}

/* Its arguments. */
static __always_inline int keep_arguments(__u32 kind, struct call_enters *ctx)
{
	struct call call = {};
	struct arguments arguments;

	if (!current_in_scope())
		return 0;
	arguments = arguments_of(ctx->registers);
	__builtin_memcpy(call.args, arguments.args, sizeof(call.args));
	put_call(kind, &call);
	return 0;
}

/* The call that ends; false: it is not in scope, or its beginning was not seen. */
static __always_inline bool take_call(__u32 kind, struct call *out)
{
	__u64 key = call_key(kind);
	struct call *call = bpf_map_lookup_elem(&calls, &key);

	if (!call)
		return false;
	*out = *call;
	bpf_map_delete_elem(&calls, &key);
	return true;
}

/* ---- Hooks ----
 *
 * Each defines the programs of one function or system call for the tiers. EXPRESSION is the body; in it, A(n) is the
 * n-th argument and RET the result. */

/* Seen once, at the beginning. */
#define ON_ENTRY(name, function, expression)                             \
	SEC("fentry/" #function) int name##__fentry(__u64 *ctx)          \
	{                                                                \
		return expression(FENTRY_ARG);                           \
	}                                                                \
	SEC("kprobe/" #function) int name##__kprobe(struct pt_regs *ctx) \
	{                                                                \
		return expression(KPROBE_ARG);                           \
	}
#define FENTRY_ARG(n) ctx[n]
#define KPROBE_ARG(n) KPROBE_ARG_##n
#define KPROBE_ARG_0 PT_REGS_PARM1(ctx)
#define KPROBE_ARG_1 PT_REGS_PARM2(ctx)
#define KPROBE_ARG_2 PT_REGS_PARM3(ctx)
#define KPROBE_ARG_3 PT_REGS_PARM4(ctx)
#define KPROBE_ARG_4 PT_REGS_PARM5(ctx)
#define KPROBE_ARG_5 PT_REGS_PARM6(ctx)

/* Seen at the beginning, and at the end with nothing but the result. */
#define ON_BOTH(name, suffix, function, nargs, begins, ends)                           \
	SEC("fentry/" #function) int name##__fentry##suffix(__u64 *ctx)                \
	{                                                                              \
		return begins(FENTRY_ARG);                                             \
	}                                                                              \
	SEC("fexit/" #function) int name##__fexit##suffix(__u64 *ctx)                  \
	{                                                                              \
		return ends(ctx[nargs]);                                               \
	}                                                                              \
	SEC("kprobe/" #function) int name##__kprobe##suffix(struct pt_regs *ctx)       \
	{                                                                              \
		return begins(KPROBE_ARG);                                             \
	}                                                                              \
	SEC("kretprobe/" #function) int name##__kretprobe##suffix(struct pt_regs *ctx) \
	{                                                                              \
		return ends(PT_REGS_RC(ctx));                                          \
	}

/* Seen once, at the end, with the arguments; a kprobe keeps them from the beginning. */
#define ON_RETURN(name, suffix, function, kind, nargs, body)                                                     \
	SEC("fexit/" #function) int name##__fexit##suffix(__u64 *ctx)                                            \
	{                                                                                                        \
		__u64 *args = ctx;                                                                               \
                                                                                                                 \
		return current_in_scope() ? body(ctx, args, ctx[nargs]) : 0;                                     \
	}                                                                                                        \
	SEC("kprobe/" #function) int name##__kprobe##suffix(struct pt_regs *ctx)                                 \
	{                                                                                                        \
		return keep_call(kind, KPROBE_ARG_0, KPROBE_ARG_1, KPROBE_ARG_2, KPROBE_ARG_3, KPROBE_ARG_4, 0); \
	}                                                                                                        \
	SEC("kretprobe/" #function) int name##__kretprobe##suffix(struct pt_regs *ctx)                           \
	{                                                                                                        \
		struct call call;                                                                                \
                                                                                                                 \
		return take_call(kind, &call) ? body(ctx, call.args, PT_REGS_RC(ctx)) : 0;                       \
	}

/* A system call's entry and end (syscall.bpf.h), the last rung. */
#define ON_SYSCALL(name, syscall, kind, body)                                                 \
	SEC("raw_tp/syscalls/sys_enter_" #syscall) int name##__enter(struct call_enters *ctx) \
	{                                                                                     \
		return keep_arguments(kind, ctx);                                             \
	}                                                                                     \
	SEC("raw_tp/syscalls/sys_exit_" #syscall) int name##__exit(struct call_exits *ctx)    \
	{                                                                                     \
		struct call call;                                                             \
                                                                                              \
		return take_call(kind, &call) ? body(ctx, call.args, ctx->ret) : 0;           \
	}
