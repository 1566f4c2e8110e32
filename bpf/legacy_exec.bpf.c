/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The legacy tier: fork, exec and exit. */
#define NIGHTJAR_LEGACY
#include "legacy_path.bpf.h"
#include "fork_exit.bpf.h"
#include <asm/ptrace.h>
#include <bpf/bpf_tracing.h>

/* uprobe_copy_process(task, clone_flags): right after task_newtask, whose tracepoint does not give the task. */
SEC("kprobe/uprobe_copy_process")
int process_fork__legacy(struct pt_regs *ctx)
{
	return fork_body(ctx, (void *)PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), false, 0);
}

SEC("tracepoint/sched/sched_process_exit")
int process_exit__legacy(void *ctx)
{
	return exit_body(ctx, (void *)bpf_get_current_task(), false, 0);
}

/* ---- exec ---- */

/* The exec that a task is in. LRU: one that fails is not seen to end. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} legacy_bprms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, LEGACY_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} legacy_exec_calls SEC(".maps");

SCRATCH(legacy_piece_scratch, struct piece_scratch);

/* security_bprm_check(bprm): the tracepoint does not give it. */
SEC("kprobe/security_bprm_check")
int process_exec_bprm__legacy(struct pt_regs *ctx)
{
	__u64 task = bpf_get_current_task();
	__u64 bprm = PT_REGS_PARM1(ctx);

	if (in_scope((void *)task, false))
		bpf_map_update_elem(&legacy_bprms, &task, &bprm, BPF_ANY);
	return 0;
}

/* tracefs: events/sched/sched_process_exec/format */
struct sched_process_exec_ctx {
	__u64 common;
	__u32 filename;
	__s32 pid, old_pid;
};

SEC("tracepoint/sched/sched_process_exec")
int process_exec__legacy(struct sched_process_exec_ctx *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct legacy_work *w = legacy_work();
	struct process_exec *rec;
	struct file *file;

	if (!w || !in_scope(task, false))
		return 0;
	rec = legacy_record(w, struct process_exec);
	if (!begin_record(&rec->hdr, WIRE_PROCESS_EXEC))
		return 0;
	w->kind = WIRE_PROCESS_EXEC;
	fill_task(&rec->task, task, false);
	fill_cgroup(ctx, &rec->hdr, &rec->task, task);
	file = READ(task, mm, exe_file);
	fill_image_facts(rec, task, file);
	if (ctx->old_pid != ctx->pid)
		rec->old_tid = ctx->old_pid;
	legacy_walk(ctx, &legacy_exec_calls, w, READ(file, f_path.mnt), READ(file, f_path.dentry), 0, LEGACY_NEXT);
	return 0;
}

SEC("tracepoint")
int process_exec_walk__legacy(void *ctx)
{
	return legacy_stride(ctx, &legacy_exec_calls);
}

SEC("tracepoint")
int process_exec_next__legacy(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct legacy_work *w = legacy_work();
	struct process_exec *rec;
	__u64 at;

	if (!w)
		return 0;
	rec = legacy_record(w, struct process_exec);
	at = legacy_path(w, &rec->executable, sizeof(*rec), &rec->hdr.incomplete, WIRE_MISSING_EXECUTABLE,
			 WIRE_CUT_EXECUTABLE);
	legacy_walk(ctx, &legacy_exec_calls, w, READ(task, fs, pwd.mnt), READ(task, fs, pwd.dentry), at, LEGACY_LAST);
	return 0;
}

/* Sends argv and environment in pieces until the rest fits into the exec record, as send_pieces (process.bpf.c) does.
 * PIECES_MAX would not fit: 2.2 MiB are more than the kernel takes with the usual stack limit. */
#define LEGACY_PIECES 38
static __always_inline __u64 legacy_pieces(void *ctx, struct process_exec *exec, __u64 start, __u64 total)
{
	struct piece_scratch *s = scratch_of(&legacy_piece_scratch, 0);
	struct wire_counter *counter = counter_of(WIRE_EXEC_DATA);
	long lost = 0;

	if (!s || !counter || !begin_record(&s->rec.hdr, WIRE_EXEC_DATA))
		return 0;
	counter->happened--; /* each piece counts itself */
	s->done = 0;
	s->rec.hdr.time_ns = exec->hdr.time_ns; /* that of the exec: pieces must not be sorted behind it */
	s->rec.pid = exec->task.pid;
	s->rec.data.off = sizeof(s->rec);
	UNROLLED for (int i = 0; i < LEGACY_PIECES; i++)
	{
		__u64 len = total - *(volatile __u64 *)&s->done;

		opaque(len);
		STOP_UNLESS(len > LEGACY_ARGS_MAX);
		if (len <= LEGACY_ARGS_MAX) /* what the verifier sees */
			return 0;
		if (len > PIECE_BYTES)
			len = PIECE_BYTES;
		s->rec.offset = s->done;
		s->rec.data.len = len;
		STOP_UNLESS(!bpf_probe_read(s->tail, len, (void *)(start + s->done)));
		s->rec.hdr.size = sizeof(s->rec) + len;
		counter->happened++;
		lost = bpf_perf_event_output(ctx, &lifecycle, BPF_F_CURRENT_CPU, &s->rec, sizeof(s->rec) + len);
		STOP_UNLESS(!lost);
		s->rec.hdr.seq++;
		s->done += len;
	}
	LOOP_END;
	if (lost)
		count_loss(WIRE_EXEC_DATA, s->rec.hdr.time_ns);
	return s->done;
}

/* A length from 1 to `most` + 1, a power of two: no helper of 4.14 takes a size that may be 0. */
static __always_inline __u64 at_least_one(__u64 len, const __u64 most)
{
	len--;
	opaque(len);
	len &= most;
	opaque(len);
	return len + 1;
}

static __always_inline __u64 legacy_arguments(void *ctx, struct legacy_work *w, struct task_struct *task, __u64 at)
{
	struct process_exec *rec = legacy_record(w, struct process_exec);
	struct mm_struct *mm = READ(task, mm);
	__u64 start = READ(mm, arg_start);
	__u64 args = span_of(start, READ(mm, arg_end));
	__u64 env = want_env ? span_of(READ(mm, env_start), READ(mm, env_end)) : 0;
	__u64 total = args + env;

	rec->args_bytes = args;
	rec->env_bytes = env;
	if (total > LEGACY_ARGS_MAX) {
		__u64 done = legacy_pieces(ctx, rec, start, total);

		rec->data_before = done;
		start += done;
		total -= done;
		if (total > LEGACY_ARGS_MAX)
			total = LEGACY_ARGS_MAX;
	}
	opaque(at);
	if (at > LEGACY_STRINGS_END)
		return LEGACY_STRINGS_END;
	rec->data.off = sizeof(*rec) + at;
	if (total && bpf_probe_read(w->tail + at, at_least_one(total, LEGACY_ARGS_MAX), (void *)start)) {
		rec->hdr.incomplete |= WIRE_MISSING_ARGS;
		total = 0;
	}
	rec->data.len = total;
	return at + total;
}

/* A string of the kernel's behind what there is. Returns where the next thing goes. */
static __always_inline __u64 legacy_string(struct legacy_work *w, __u64 at, const __u64 end, const __u32 limit,
					   struct wire_slice *slice, const char *string, __u32 *incomplete,
					   __u32 missing)
{
	__u64 n;

	opaque(at);
	if (at > end)
		return at;
	n = string ? bpf_probe_read_str(w->tail + at, limit, string) : 0;
	slice->off = sizeof(struct process_exec) + at;
	opaque(n); /* two comparisons: of one, on n - 1, the verifier takes no bound for n */
	if (n > limit)
		n = 0;
	opaque(n);
	if (!n)
		*incomplete |= missing;
	slice->len = n;
	return at + n;
}

SEC("tracepoint")
int process_exec_last__legacy(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct legacy_work *w = legacy_work();
	const char *filename = NULL, *interp = NULL;
	struct process_exec *rec;
	__u64 key = (__u64)task;
	__u64 at, *found;

	if (!w)
		return 0;
	rec = legacy_record(w, struct process_exec);
	at = legacy_path(w, &rec->cwd, sizeof(*rec), &rec->hdr.incomplete, WIRE_MISSING_CWD, WIRE_CUT_CWD);
	found = bpf_map_lookup_elem(&legacy_bprms, &key);
	if (found) {
		struct linux_binprm *bprm = (void *)*found;

		bpf_map_delete_elem(&legacy_bprms, &key);
		rec->args_count = READ(bprm, argc);
		filename = READ(bprm, filename);
		interp = READ(bprm, interp);
	}
	at = legacy_string(w, at, LEGACY_WALK_END + NAME_BYTES, FILENAME_BYTES, &rec->filename, filename,
			   &rec->hdr.incomplete, WIRE_MISSING_FILENAME);
	if (interp != filename) {
		rec->flags |= WIRE_EXEC_INTERPRETED;
		at = legacy_string(w, at, LEGACY_WALK_END + NAME_BYTES + FILENAME_BYTES, INTERPRETER_BYTES,
				   &rec->interpreter, interp, &rec->hdr.incomplete, WIRE_MISSING_INTERPRETER);
	}
	w->begin = at;
	bpf_tail_call(ctx, &legacy_exec_calls, LEGACY_ARGS);
	count_loss(w->kind, bpf_ktime_get_boot_ns());
	return 0;
}

/* A program of its own: what is known after the strings, multiplied with all pieces, is more than a verifier of 128 Ki
 * steps looks at. */
SEC("tracepoint")
int process_exec_args__legacy(void *ctx)
{
	struct legacy_work *w = legacy_work();
	struct process_exec *rec;
	__u64 at;

	if (!w)
		return 0;
	rec = legacy_record(w, struct process_exec);
	at = legacy_arguments(ctx, w, (void *)bpf_get_current_task(), w->begin);
	opaque(at);
	if (at > LEGACY_TAIL)
		at = LEGACY_TAIL;
	send_record(ctx, &lifecycle, &rec->hdr, sizeof(*rec) + at);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
