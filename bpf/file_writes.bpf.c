/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* modify: what was written through an open file, told once, when it is closed for the last time. */
#include "file.bpf.h"
#include "syscall.bpf.h"
#include <asm/unistd.h>
#include <bpf/bpf_tracing.h>

struct written {
	__u64 inode; /* the kernel's: an entry of an older file at the same address does not count */
	__u64 bytes;
};

/* Open files that were written to. LRU: one that is pushed out is told with what comes after. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct written);
} file_writes SEC(".maps");

enum write_call { WRITE_CALL = 1, WRITEV_CALL, SPLICE_CALL, COPY_CALL };
struct write_key {
	__u64 thread;
	__u64 call;
};
struct write_begun {
	__u64 file;
	__u64 before; /* bytes then */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct write_key);
	__type(value, struct write_begun);
} write_calls SEC(".maps");

static __always_inline struct written *written_of(struct file *file)
{
	__u64 key = (__u64)file;
	struct written *w = bpf_map_lookup_elem(&file_writes, &key);

	return w && w->inode == (__u64)READ(file, f_inode) ? w : NULL;
}

static __always_inline int count_write(struct file *file, __s64 bytes)
{
	__u64 key = (__u64)file;
	struct written *w, fresh = {};
	struct inode *inode;
	struct dentry *dentry;

	if (bytes <= 0 || !file)
		return 0;
	w = written_of(file);
	if (w) {
		__sync_fetch_and_add(&w->bytes, bytes);
		return 0;
	}
	if (!in_scope((void *)bpf_get_current_task(), false))
		return 0;
	inode = READ(file, f_inode);
	dentry = READ(file, f_path.dentry);
	/* An overlay's open of the layer below bears the overlay's path. */
	if (!is_storage(READ(inode, i_mode)) || is_pseudo(READ(inode, i_sb)) || inode != READ(dentry, d_inode) ||
	    is_internal(READ(file, f_path.mnt)))
		return 0;
	fresh.inode = (__u64)inode;
	fresh.bytes = bytes;
	bpf_map_update_elem(&file_writes, &key, &fresh, BPF_ANY);
	return 0;
}

/* Forgets what was written to the file, and puts the facts of it into a row that is now the caller's; -1: nothing was.
 * Global: verified once, however often a program comes here. */
__noinline int take_written(__u64 of_file)
{
	struct file *file = (void *)of_file;
	struct written *w = bpf_map_lookup_elem(&file_writes, &of_file);
	struct file_scratch *s;
	__u64 bytes, inode;
	int row;

	if (!w)
		return -1;
	bytes = w->bytes;
	inode = w->inode;
	/* Threads that end at once may all have found it: who forgets it tells it. */
	if (bpf_map_delete_elem(&file_writes, &of_file) || inode != (__u64)READ(file, f_inode))
		return -1;
	row = take_scratch(WIRE_FILE_MODIFY);
	if (row < 0)
		return -1;
	s = file_scratch_at(row);
	if (s) {
		begin_facts(&s->facts);
		file_facts_of(&s->facts, file);
		s->facts.bytes_written = bytes;
	}
	return row;
}

static __always_inline int file_ends(void *ctx, struct file *file)
{
	__u64 number = 0;
	int row;

	/* Through memory: a global function takes a number, and what fentry gives is known to be a pointer. */
	bpf_probe_read_kernel(&number, sizeof(number), &file);
	row = take_written(number);

	if (row < 0)
		return 0;
	send_file(ctx, row, WIRE_FILE_MODIFY);
	give_scratch(row);
	return 0;
}

/* ---- Functions ---- */

static __always_inline int write_begins(enum write_call call, struct file *file)
{
	struct write_key key = { .thread = bpf_get_current_pid_tgid(), .call = call };
	struct write_begun begun = { .file = (__u64)file };
	struct written *w;

	if (!in_scope((void *)bpf_get_current_task(), false))
		return 0;
	w = written_of(file);
	if (w)
		begun.before = w->bytes;
	bpf_map_update_elem(&write_calls, &key, &begun, BPF_ANY);
	return 0;
}

static __always_inline int write_returns(enum write_call call, __s64 ret)
{
	struct write_key key = { .thread = bpf_get_current_pid_tgid(), .call = call };
	struct write_begun *begun = bpf_map_lookup_elem(&write_calls, &key);
	struct write_begun copy;
	struct written *w;

	if (!begun)
		return 0;
	copy = *begun;
	bpf_map_delete_elem(&write_calls, &key);
	w = written_of((struct file *)copy.file);
	/* A copy may be done by splicing, which was counted. */
	if (call == COPY_CALL && w && w->bytes > copy.before)
		return 0;
	return count_write((struct file *)copy.file, ret);
}

SEC("fexit/vfs_write") int file_write__fexit(__u64 *ctx)
{
	return count_write((void *)ctx[0], ctx[4]);
}
SEC("fexit/vfs_writev") int file_writev__fexit(__u64 *ctx)
{
	return count_write((void *)ctx[0], ctx[5]);
}
SEC("fexit/iter_file_splice_write") int file_splice__fexit(__u64 *ctx)
{
	return count_write((void *)ctx[1], ctx[5]);
}
SEC("fentry/vfs_copy_file_range") int file_copy_enter__fentry(__u64 *ctx)
{
	return write_begins(COPY_CALL, (void *)ctx[2]);
}
SEC("fexit/vfs_copy_file_range") int file_copy__fexit(__u64 *ctx)
{
	return write_returns(COPY_CALL, ctx[6]);
}
SEC("fentry/__fput") int file_modify__fentry(__u64 *ctx)
{
	return file_ends(ctx, (void *)ctx[0]);
}

SEC("kprobe/vfs_write") int file_write_enter__kprobe(struct pt_regs *ctx)
{
	return write_begins(WRITE_CALL, (void *)PT_REGS_PARM1(ctx));
}
SEC("kretprobe/vfs_write") int file_write__kretprobe(struct pt_regs *ctx)
{
	return write_returns(WRITE_CALL, PT_REGS_RC(ctx));
}
SEC("kprobe/vfs_writev") int file_writev_enter__kprobe(struct pt_regs *ctx)
{
	return write_begins(WRITEV_CALL, (void *)PT_REGS_PARM1(ctx));
}
SEC("kretprobe/vfs_writev") int file_writev__kretprobe(struct pt_regs *ctx)
{
	return write_returns(WRITEV_CALL, PT_REGS_RC(ctx));
}
SEC("kprobe/iter_file_splice_write") int file_splice_enter__kprobe(struct pt_regs *ctx)
{
	return write_begins(SPLICE_CALL, (void *)PT_REGS_PARM2(ctx));
}
SEC("kretprobe/iter_file_splice_write") int file_splice__kretprobe(struct pt_regs *ctx)
{
	return write_returns(SPLICE_CALL, PT_REGS_RC(ctx));
}
SEC("kprobe/vfs_copy_file_range") int file_copy_enter__kprobe(struct pt_regs *ctx)
{
	return write_begins(COPY_CALL, (void *)PT_REGS_PARM3(ctx));
}
SEC("kretprobe/vfs_copy_file_range") int file_copy__kretprobe(struct pt_regs *ctx)
{
	return write_returns(COPY_CALL, PT_REGS_RC(ctx));
}
SEC("kprobe/__fput") int file_modify__kprobe(struct pt_regs *ctx)
{
	return file_ends(ctx, (void *)PT_REGS_PARM1(ctx));
}

/* ---- System calls ---- */

/* Which argument of the call is the descriptor that it writes to; -1: it is no such call. */
static __always_inline int writing_argument(__u64 nr)
{
	switch (nr) {
	case __NR_write:
	case __NR_pwrite64:
	case __NR_writev:
	case __NR_pwritev:
	case __NR_pwritev2:
	case __NR_sendfile:
		return 0;
	case __NR_splice:
	case __NR_copy_file_range:
		return 2;
	default:
		return -1;
	}
}

/* In the slots of these calls (syscalls.bpf.c). */
SEC("raw_tp/sys_exit") int file_written__calls(struct call_exits *ctx)
{
	struct arguments arguments;
	int argument;

	if (ctx->ret <= 0 || !in_scope((void *)bpf_get_current_task(), false))
		return 0;
	argument = writing_argument(number_of_ending_call(ctx));
	if (argument < 0)
		return 0;
	arguments = arguments_of(ctx->registers);
	return count_write(file_of(argument ? arguments.args[2] : arguments.args[0]), ctx->ret);
}

static __always_inline int descriptor_ends(void *ctx, __s32 fd)
{
	struct file *file = file_of(fd);

	if (!file || !written_of(file) || !is_last_reference(file))
		return 0;
	return file_ends(ctx, file);
}

/* In the slots of close, dup2 and dup3. */
SEC("raw_tp/sys_enter") int file_modify__calls(struct call_enters *ctx)
{
	__u64 first, second;

	if (!in_scope((void *)bpf_get_current_task(), false))
		return 0;
	first = SYSCALL_PARM1(ctx->registers);
	if (ctx->nr == __NR_close)
		return descriptor_ends(ctx, first);
	second = SYSCALL_PARM2(ctx->registers);
	if (first != second) /* what dup2 replaces */
		return descriptor_ends(ctx, second);
	return 0;
}

/* A process that ends closes what it has open, after its exit was told: what it has written is told before. So many
 * descriptors are looked at, of as many as its table has room for: 64 at first, always a multiple of that
 * (NR_OPEN_DEFAULT, alloc_fdtable in fs/file.c). Files at higher ones are told when the kernel lets go of them, after
 * the exit. */
#define DESCRIPTORS 256
#define DESCRIPTORS_AT_ONCE 8

/* Whether the file was written to, and ends with this process. Global, as are the next: verified once. */
__noinline int is_ending(__u64 file)
{
	return file && written_of((struct file *)file) && is_last_reference((struct file *)file);
}

/* Tells it, if so. A ring buffer needs no context, so that this can be global. */
__noinline int end_in_ring(__u64 file)
{
	if (use_ring && is_ending(file))
		file_ends(NULL, (struct file *)file);
	return 0;
}

/* Does so with some of the files that this process has open. */
__noinline int end_some_in_ring(__u64 files)
{
	__u64 some[DESCRIPTORS_AT_ONCE];

	if (bpf_probe_read_kernel(some, sizeof(some), (void *)files))
		return 0;
	for (int i = 0; i < DESCRIPTORS_AT_ONCE; i++) {
		if (some[i])
			end_in_ring(some[i]);
	}
	return 0;
}

static __always_inline int end_all_in_ring(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = READ(task, files, fdt);
	struct file **files = READ(table, fd);
	__u32 room = READ(table, max_fds);

	for (__u32 fd = 0; fd < DESCRIPTORS && fd < room; fd += DESCRIPTORS_AT_ONCE)
		end_some_in_ring((__u64)(files + fd));
	return 0;
}

/* The first such file that this process has open; 0: none. */
__noinline __u64 first_ending(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = READ(task, files, fdt);
	struct file **files = READ(table, fd);
	__u32 room = READ(table, max_fds);
	__u64 some[DESCRIPTORS_AT_ONCE];

	for (__u32 fd = 0; fd < DESCRIPTORS && fd < room; fd += DESCRIPTORS_AT_ONCE) {
		if (bpf_probe_read_kernel(some, sizeof(some), files + fd))
			return 0;
		for (int i = 0; i < DESCRIPTORS_AT_ONCE; i++) {
			if (some[i] && is_ending(some[i]))
				return some[i];
		}
	}
	return 0;
}

/* Whether the descriptors end with this thread, or with the whole process, whose threads share them: the first that
 * comes here tells what all have written, and those after it what was written since. */
static __always_inline bool descriptors_end(struct task_struct *task, bool process_ends)
{
	struct files_struct *files = READ(task, files);
	struct signal_struct *signal = READ(task, signal);
	int sharing;

	if (!files)
		return false;
	sharing = READ(files, count.counter);
	if (sharing == 1)
		return true;
	process_ends |= READ(signal, flags) & SIGNAL_GROUP_EXIT;
	return process_ends && sharing <= READ(signal, nr_threads);
}

static __always_inline int thread_ends(void *ctx, bool process_ends)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (!descriptors_end(task, process_ends) || !in_scope(task, false))
		return 0;
	if (use_ring)
		return end_all_in_ring();
	for (int i = 0; i < DESCRIPTORS; i++) {
		__u64 file = first_ending(); /* one that was told is not found again */

		if (!file)
			break;
		file_ends(ctx, (struct file *)file);
	}
	return 0;
}

/* At the beginning of do_exit, whatever ended the thread. */
SEC("fentry/exit_signals") int file_process_ends__fentry(__u64 *ctx)
{
	return thread_ends(ctx, false);
}
SEC("kprobe/exit_signals") int file_process_ends__kprobe(struct pt_regs *ctx)
{
	return thread_ends(ctx, false);
}
/* A process that a signal ends makes no call. What it has open is told before its exit is, with which it leaves the
 * tree: the agent attaches the one program before the other (told_before_exit). */
SEC("raw_tp/sys_enter") int file_process_ends__calls(struct call_enters *ctx)
{
	return thread_ends(ctx, ctx->nr == __NR_exit_group);
}
SEC("tp_btf/sched_process_exit") int file_process_killed__calls(__u64 *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	/* The only thread, ended by no signal: it made the call. */
	if (READ(task, signal, nr_threads) == 1 && !(READ(task, exit_code) & 0x7f))
		return 0;
	return thread_ends(ctx, false);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
