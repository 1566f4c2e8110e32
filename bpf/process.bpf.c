/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fork, exec and exit. One body for each event; the programs at the end are the hooks it can be attached to. */
#include "exec.bpf.h"
#include "fork_exit.bpf.h"
#include "syscall.bpf.h"
#include <bpf/bpf_tracing.h>

const volatile __u32 want_env = 0; /* send the environment after argv; user space picks from it */

SCRATCH(piece_scratch, struct piece_scratch);

/* ---- exec: sched_process_exec(task, old_pid, bprm), when the new image is in place ---- */

/* Makes the next piece of [start, start + total) of the process in a row of piece_scratch. Returns its length; 0: what
 * is left fits into the exec record, or cannot be read. Global, so that the verifier checks it once; how far it is
 * stands in map memory, for the reason given at struct path_walk. */
__noinline int make_piece(__u32 row, __u64 time_ns, __u64 start, __u64 total)
{
	struct piece_scratch *s = bpf_map_lookup_elem(&piece_scratch, &row);
	__u64 len;

	if (!s)
		return 0;
	len = total - s->done;
	if (len <= INLINE_MAX || !begin_record(&s->rec.hdr, WIRE_EXEC_DATA))
		return 0;
	if (len > PIECE_BYTES)
		len = PIECE_BYTES;
	s->rec.hdr.time_ns = time_ns; /* that of the exec: pieces must not be sorted behind it */
	s->rec.offset = s->done;
	s->rec.data.off = sizeof(s->rec);
	s->rec.data.len = len;
	if (bpf_probe_read_user(s->tail, len, (void *)(start + s->done)))
		return 0;
	s->done += len;
	return len;
}

/* False: that was all, or it was lost. */
static __always_inline bool send_piece(void *ctx, __u32 row, __u64 time_ns, __u64 start, __u64 total)
{
	struct piece_scratch *s = bpf_map_lookup_elem(&piece_scratch, &row);
	__u64 len = make_piece(row, time_ns, start, total);

	if (!s || !len)
		return false;
	opaque(len); /* two comparisons: of one, on len - 1, 5.10 takes no bound for len */
	if (len > PIECE_BYTES)
		return false;
	if (send_record(ctx, &lifecycle, &s->rec.hdr, sizeof(s->rec) + len))
		return true;
	s->done -= len;
	return false;
}

/* Some of them; 0: no more are to be sent. A ring buffer needs no context, so that this can be global. */
#define PIECES_AT_ONCE 8
__noinline int send_pieces_to_ring(__u32 row, __u64 time_ns, __u64 start, __u64 total)
{
	for (int i = 0; i < PIECES_AT_ONCE; i++) {
		if (!use_ring || !send_piece(NULL, row, time_ns, start, total))
			return 0;
	}
	return 1;
}

/* Sends argv and environment in pieces until the rest fits into the exec record. Returns how many bytes were sent; less
 * than needed when a piece was lost or could not be read. */
static __always_inline __u64 send_pieces(void *ctx, struct process_exec *exec, __u64 start, __u64 total, const int copy)
{
	__u32 row = scratch_row(copy);
	struct piece_scratch *s = bpf_map_lookup_elem(&piece_scratch, &row);

	if (!s)
		return 0;
	s->done = 0;
	s->rec.pid = exec->task.pid;
	if (use_ring) {
		for (int i = 0; i < PIECES_MAX / PIECES_AT_ONCE; i++) {
			if (!send_pieces_to_ring(row, exec->hdr.time_ns, start, total))
				break;
		}
	} else {
		for (int i = 0; i < PIECES_MAX; i++) {
			if (!send_piece(ctx, row, exec->hdr.time_ns, start, total))
				break;
		}
	}
	return s->done;
}

/* argv and, behind it in memory, the environment: both lie where the kernel put them, in the new image's stack. */
static __always_inline __u64 fill_arguments(void *ctx, struct image_row *s, struct task_struct *task, __u64 at,
					    const bool direct, const int copy)
{
	struct process_exec *rec = &s->rec;
	struct mm_struct *mm = KREAD(task, mm);
	__u64 start = KREAD(mm, arg_start);
	__u64 args = span_of(start, KREAD(mm, arg_end));
	__u64 env = want_env ? span_of(KREAD(mm, env_start), KREAD(mm, env_end)) : 0;
	__u64 total = args + env;
	__u64 len;

	rec->args_bytes = args;
	rec->env_bytes = env;
	if (total > INLINE_MAX) {
		__u64 done = send_pieces(ctx, rec, start, total, copy);

		rec->data_before = done;
		start += done;
		total -= done;
		/* A piece was lost, or there were too many of them: as much as fits here follows what was sent. */
		if (total > INLINE_MAX)
			total = INLINE_MAX;
	}
	len = total;
	opaque(len);
	len &= INLINE_MAX;
	opaque(at);
	if (at > STRINGS_END)
		return STRINGS_END;
	rec->data.off = sizeof(*rec) + at;
	if (len && bpf_probe_read_user(s->tail + at, len, (void *)start)) {
		rec->hdr.incomplete |= WIRE_MISSING_ARGS;
		len = 0;
	}
	rec->data.len = len;
	return at + len;
}

static __always_inline int exec_body(void *ctx, struct task_struct *task, __u32 old_tid, struct linux_binprm *bprm,
				     const bool direct, const int copy)
{
	struct image_row *s;
	struct process_exec *rec;
	const char *filename, *interp;
	__u64 at, size;
	__u32 row;
	long n;

	if (already_done(KREAD(task, pid), WIRE_PROCESS_EXEC, copy) || !exec_in_scope(task, direct))
		return 0;
	mark_done(KREAD(task, pid), WIRE_PROCESS_EXEC, copy);
	row = image_row_of(IMAGE_OF_EXEC, copy);
	s = image_at(row);
	if (!s || !begin_record(&s->rec.hdr, WIRE_PROCESS_EXEC))
		return 0;
	rec = &s->rec;
	fill_task(&rec->task, task, direct);
	scalar_note_exec(rec->task.pid, rec->hdr.time_ns);
	fill_cgroup(ctx, &rec->hdr, &rec->task, task);
	at = fill_image(s, task, row);
	rec->args_count = KREAD(bprm, argc);
	if (old_tid != rec->task.tid)
		rec->old_tid = old_tid;

	filename = KREAD(bprm, filename);
	interp = KREAD(bprm, interp);
	opaque(at);
	if (at > CWD_END)
		return 0;
	n = bpf_probe_read_kernel_str(s->tail + at, FILENAME_BYTES, filename);
	if (n < 0 || n > FILENAME_BYTES) {
		rec->hdr.incomplete |= WIRE_MISSING_FILENAME;
		n = 0;
	}
	rec->filename.off = sizeof(*rec) + at;
	rec->filename.len = n;
	at += n;
	if (interp != filename) {
		rec->flags |= WIRE_EXEC_INTERPRETED;
		opaque(at);
		if (at > FILENAME_END)
			return 0;
		n = bpf_probe_read_kernel_str(s->tail + at, INTERPRETER_BYTES, interp);
		if (n < 0 || n > INTERPRETER_BYTES) {
			rec->hdr.incomplete |= WIRE_MISSING_INTERPRETER;
			n = 0;
		}
		rec->interpreter.off = sizeof(*rec) + at;
		rec->interpreter.len = n;
		at += n;
	}
	at = fill_arguments(ctx, s, task, at, direct, copy);
	size = sizeof(*rec) + at;
	opaque(size);
	if (size > sizeof(*rec) + sizeof(s->tail))
		size = sizeof(*rec) + sizeof(s->tail);
	send_record(ctx, &lifecycle, &rec->hdr, size);
	return 0;
}

/* ---- scripts: security_bprm_check(bprm), once for each file of a #! chain, outermost first ---- */

/* The thread that calls exec, by its process; only when it is not the leader, whose id it takes. sched_process_exec
 * tells it; finalize_exec does not. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} exec_threads SEC(".maps");

static __always_inline void note_exec_thread(void)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tgid = id >> 32, tid = id;

	if (tid != tgid)
		bpf_map_update_elem(&exec_threads, &tgid, &tid, BPF_ANY);
	else if (bpf_map_lookup_elem(&exec_threads, &tgid)) /* of an exec that failed */
		bpf_map_delete_elem(&exec_threads, &tgid);
}

struct script_scratch {
	struct exec_script rec;
	__u8 tail[PATH_BYTES];
};
SCRATCH(script_scratch, struct script_scratch);

/* bprm->buf holds the first bytes of bprm->file. A file that begins with "#!" is told at once: it is released before
 * the exec succeeds. If the exec fails after all, user space drops what it was told. */
static __always_inline int script_body(void *ctx, struct linux_binprm *bprm, const int copy)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct script_scratch *s;
	struct file *file;
	char start[2] = {};
	__u64 len;

	bpf_probe_read_kernel(start, sizeof(start), (void *)bprm + bpf_core_field_offset(struct linux_binprm, buf));
	if (start[0] != '#' || start[1] != '!' || already_done(READ(task, pid), WIRE_EXEC_SCRIPT, copy) ||
	    !in_scope(task, false))
		return 0;
	mark_done(READ(task, pid), WIRE_EXEC_SCRIPT, copy);
	s = scratch_of(&script_scratch, copy);
	if (!s || !begin_record(&s->rec.hdr, WIRE_EXEC_SCRIPT))
		return 0;
	file = READ(bprm, file);
	s->rec.tid = READ(task, pid);
	s->rec.first = READ(bprm, filename) == READ(bprm, interp);
	s->rec.inode = READ(file, f_inode, i_ino);
	s->rec.dev = READ(file, f_inode, i_sb, s_dev);
	s->rec.pad0 = 0;
	len = put_path(s->tail, path_row_of(PATH_OF_SCRIPT, copy), READ(file, f_path.mnt), READ(file, f_path.dentry),
		       &s->rec.hdr.incomplete, WIRE_MISSING_SCRIPTS, WIRE_MISSING_SCRIPTS);
	opaque(len);
	if (len > PATH_BYTES)
		return 0;
	s->rec.path.off = sizeof(s->rec);
	s->rec.path.len = len;
	send_record(ctx, &lifecycle, &s->rec.hdr, sizeof(s->rec) + len);
	return 0;
}

/* ---- exec_failed: the system call's tracepoints; only loaded when asked for ---- */

struct failed_scratch {
	struct exec_failed rec;
	__u8 tail[FILENAME_BYTES];
};
SCRATCH(failed_scratch, struct failed_scratch);

/* The name that a thread gave to execve, from entry to exit. LRU: the entry of a thread whose id changed in a
 * successful exec is never asked for again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} exec_calls SEC(".maps");

static __always_inline int exec_call_begins(__u64 filename)
{
	__u64 id = bpf_get_current_pid_tgid();

	if (in_scope((void *)bpf_get_current_task(), false))
		bpf_map_update_elem(&exec_calls, &id, &filename, BPF_ANY);
	return 0;
}

static __always_inline int exec_call_ends(void *ctx, __s64 ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 id = bpf_get_current_pid_tgid();
	__u64 *filename = bpf_map_lookup_elem(&exec_calls, &id);
	struct failed_scratch *s;
	__u64 name;
	long n;

	if (!filename)
		return 0;
	name = *filename;
	bpf_map_delete_elem(&exec_calls, &id);
	if (ret >= 0)
		return 0;
	s = scratch_of(&failed_scratch, 0);
	if (!s || !begin_record(&s->rec.hdr, WIRE_EXEC_FAILED))
		return 0;
	fill_task(&s->rec.task, task, false);
	fill_cgroup(ctx, &s->rec.hdr, &s->rec.task, task);
	s->rec.error = -ret;
	s->rec.pad0 = 0;
	n = bpf_probe_read_user_str(s->tail, FILENAME_BYTES, (void *)name);
	if (n < 0 || n > FILENAME_BYTES) {
		s->rec.hdr.incomplete |= WIRE_MISSING_FILENAME;
		n = 0;
	}
	s->rec.filename.off = sizeof(s->rec);
	s->rec.filename.len = n;
	send_record(ctx, &activity, &s->rec.hdr, sizeof(s->rec) + n);
	return 0;
}

/* ---- The hooks ---- */

WITH_STAND_INS("tp_btf/task_newtask", process_fork__tp_btf, __u64,
	       fork_body(ctx, (struct task_struct *)ctx[0], ctx[1], true, copy))
WITH_STAND_INS("raw_tp/task_newtask", process_fork__raw_tp, struct bpf_raw_tracepoint_args,
	       fork_body(ctx, (void *)ctx->args[0], ctx->args[1], false, copy))
WITH_STAND_INS("tp_btf/sched_process_exec", process_exec__tp_btf, __u64,
	       exec_body(ctx, (struct task_struct *)ctx[0], ctx[1], (struct linux_binprm *)ctx[2], true, copy))
WITH_STAND_INS("raw_tp/sched_process_exec", process_exec__raw_tp, struct bpf_raw_tracepoint_args,
	       exec_body(ctx, (void *)ctx->args[0], ctx->args[1], (void *)ctx->args[2], false, copy))
WITH_STAND_INS("tp_btf/sched_process_exit", process_exit__tp_btf, __u64,
	       exit_body(ctx, (struct task_struct *)ctx[0], true, copy))
WITH_STAND_INS("raw_tp/sched_process_exit", process_exit__raw_tp, struct bpf_raw_tracepoint_args,
	       exit_body(ctx, (void *)ctx->args[0], false, copy))
/* The functions beside these tracepoints, for kernels that can preempt a tracepoint's program (docs/decisions/0007): a
 * kprobe runs with preemption off, so none is skipped. */

/* uprobe_copy_process(task, clone_flags): right after task_newtask. */
SEC("kprobe/uprobe_copy_process")
int process_fork__kprobe(struct pt_regs *ctx)
{
	return fork_body(ctx, (void *)PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), false, 0);
}

/* finalize_exec(bprm): the last thing that loading a binary does, shortly before sched_process_exec. */
SEC("kprobe/finalize_exec")
int process_exec__kprobe(struct pt_regs *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 tgid = READ(task, tgid);
	__u32 *thread = bpf_map_lookup_elem(&exec_threads, &tgid);

	return exec_body(ctx, task, thread ? *thread : tgid, (void *)PT_REGS_PARM1(ctx), false, 0);
}

/* exit_files(task): shortly after sched_process_exit. */
SEC("kprobe/exit_files")
int process_exit__kprobe(struct pt_regs *ctx)
{
	return exit_body(ctx, (void *)PT_REGS_PARM1(ctx), false, 0);
}

/* No stand-ins: function entry programs run in the opposite order of attaching, which their turns do not allow for. */
SEC("fentry/security_bprm_check")
int exec_script__fentry(__u64 *ctx)
{
	return script_body(ctx, (struct linux_binprm *)ctx[0], 0);
}

SEC("kprobe/security_bprm_check")
int exec_script__kprobe(struct pt_regs *ctx)
{
	note_exec_thread();
	return script_body(ctx, (void *)PT_REGS_PARM1(ctx), 0);
}

SEC("raw_tp/syscalls/sys_enter_execve")
int exec_failed__enter_execve(struct call_enters *ctx)
{
	return exec_call_begins(SYSCALL_PARM1(ctx->registers));
}

SEC("raw_tp/syscalls/sys_enter_execveat")
int exec_failed__enter_execveat(struct call_enters *ctx)
{
	return exec_call_begins(SYSCALL_PARM2(ctx->registers));
}

SEC("raw_tp/syscalls/sys_exit_execve")
int exec_failed__exit_execve(struct call_exits *ctx)
{
	return exec_call_ends(ctx, ctx->ret);
}

SEC("raw_tp/syscalls/sys_exit_execveat")
int exec_failed__exit_execveat(struct call_exits *ctx)
{
	return exec_call_ends(ctx, ctx->ret);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
