/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ptrace, writes into other processes, memory files, executable memory. */
#include "ptrace.bpf.h"

/* include/uapi/asm-generic/mman-common.h */
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
/* ---- ptrace ---- */

/* The beginning of a tracing passes two hooks, or one of them. The first tells, and leaves a mark for the second. */
#define PTRACE_TOLD 0xff /* no event's number */
static __always_inline bool is_told(bool second)
{
	struct call call = {};

	if (second && take_call(PTRACE_TOLD, &call))
		return true;
	if (!second)
		put_call(PTRACE_TOLD, &call);
	return false;
}

static __always_inline int tell_traceme(void *ctx, struct task_struct *task, bool second)
{
	return is_told(second) ? 0 : tell_ptrace(ctx, task, 0, PTRACE_TRACEME, 0);
}

static __always_inline int tell_attach(void *ctx, struct task_struct *child, bool second)
{
	__u64 request = READ(child, ptrace) & PT_SEIZED ? PTRACE_SEIZE : PTRACE_ATTACH;

	return is_told(second) ? 0 : tell_ptrace(ctx, child, 0, request, 0);
}

/* __ptrace_link(child, new_parent, ptracer_cred): a tracing begins. Also called for the children of a tracee, which its
 * tracer gets without asking. */
static __always_inline int ptrace_link_body(void *ctx, struct task_struct *child, struct task_struct *tracer)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if ((child != task && tracer != task) || !current_in_scope())
		return 0;
	return child == task ? tell_traceme(ctx, child, true) : tell_attach(ctx, child, false);
}
#define PTRACE_LINK(ARG) ptrace_link_body(ctx, (struct task_struct *)ARG(0), (struct task_struct *)ARG(1))
ON_ENTRY(memory_ptrace__link, __ptrace_link, PTRACE_LINK)

/* Where the compiler has inlined that (Debian's 7.3): proc_ptrace_connector(task, request) comes after an attach ... */
static __always_inline int ptrace_connector_body(void *ctx, struct task_struct *child, __u32 request)
{
	return request == PTRACE_ATTACH && current_in_scope() ? tell_attach(ctx, child, true) : 0;
}
SEC("fentry/proc_ptrace_connector") int memory_ptrace__connector_fentry_more(__u64 *ctx)
{
	return ptrace_connector_body(ctx, (struct task_struct *)ctx[0], ctx[1]);
}
SEC("kprobe/proc_ptrace_connector") int memory_ptrace__connector_kprobe_more(struct pt_regs *ctx)
{
	return ptrace_connector_body(ctx, (struct task_struct *)KPROBE_ARG_0, KPROBE_ARG_1);
}

/* ... and security_ptrace_traceme(parent) before PTRACE_TRACEME, whose last question it is. */
static __always_inline int traceme_body(void *ctx, long ret)
{
	return !(__s32)ret && current_in_scope() ? tell_traceme(ctx, (void *)bpf_get_current_task(), false) : 0;
}
SEC("fexit/security_ptrace_traceme") int memory_ptrace__traceme_fexit_more(__u64 *ctx)
{
	return traceme_body(ctx, ctx[1]);
}
SEC("kretprobe/security_ptrace_traceme") int memory_ptrace__traceme_kretprobe_more(struct pt_regs *ctx)
{
	return traceme_body(ctx, PT_REGS_RC(ctx));
}

/* arch_ptrace(child, request, addr, data): everything that is asked of a tracee. */
static __always_inline int ptrace_body(void *ctx, __u64 *args, long ret)
{
	if (is_error(ret) || is_routine(args[1]))
		return 0;
	return tell_ptrace(ctx, (struct task_struct *)args[0], 0, args[1], args[2]);
}
ON_RETURN(memory_ptrace, , arch_ptrace, WIRE_PTRACE, 4, ptrace_body)
#if defined(__TARGET_ARCH_x86)
static __always_inline int ptrace_body_32(void *ctx, __u64 *args, long ret)
{
	__u64 request = (__u32)args[1];

	if (is_error(ret) || is_routine(request))
		return 0;
	return tell_ptrace(ctx, (struct task_struct *)args[0], 0, request, (__u32)args[2]);
}
ON_RETURN(memory_ptrace, 32, compat_arch_ptrace, WIRE_PTRACE, 4, ptrace_body_32)
#endif

/* ptrace(request, pid, addr, data) */
static __always_inline int ptrace_syscall(void *ctx, __u64 *args, long ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	if (is_error(ret) || is_routine(args[0]))
		return 0;
	return tell_ptrace(ctx, args[0] == PTRACE_TRACEME ? task : NULL, args[1], args[0], args[2]);
}
ON_SYSCALL(memory_ptrace, ptrace, WIRE_PTRACE, ptrace_syscall)

/* ---- Writes into other processes ---- */

struct iovec_user {
	__u64 base, len;
};

/* args: the pid as given, the remote ranges and how many; [4]: the target's task, once the access check has seen it. */
static __always_inline int process_vm_write_body(void *ctx, struct call *call, long ret)
{
	struct pool_row *row;
	struct memory_write *rec;
	__u64 count = call->args[2];
	__u64 size;

	if (ret <= 0)
		return 0;
	row = take_row(WIRE_PROCESS_VM_WRITE);
	if (!row)
		return 0;
	rec = record_in(row, struct memory_write);
	if (begin_event(ctx, row, (void *)rec, WIRE_PROCESS_VM_WRITE)) {
		if (call->args[4])
			fill_target(&rec->target, (struct task_struct *)call->args[4]);
		else
			fill_target_by_number(&rec->target, &rec->hdr.incomplete, call->args[0]);
		rec->bytes = ret;
		rec->ranges = count;
		rec->pad0 = 0;
		rec->range.off = sizeof(*rec);
		if (count > WIRE_RANGES) {
			count = WIRE_RANGES;
			rec->hdr.incomplete |= WIRE_CUT_MEMORY_RANGES;
		}
		size = count * sizeof(struct wire_range);
		opaque(size);
		if (size > WIRE_RANGES * sizeof(struct wire_range))
			size = WIRE_RANGES * sizeof(struct wire_range);
		/* What the kernel read is not kept anywhere; the caller could have changed it since. */
		if (size && bpf_probe_read_user(row->tail, size, (void *)call->args[1])) {
			rec->hdr.incomplete |= WIRE_MISSING_MEMORY_RANGES;
			size = 0;
		}
		rec->range.len = size;
		end_event(ctx, &activity, &rec->hdr, sizeof(*rec), size);
	}
	give_back(row);
	return 0;
}

/* process_vm_rw(pid, lvec, liovcnt, rvec, riovcnt, flags, vm_write): the seventh argument lies on the stack, out of
 * reach of function programs; so the system call is watched, which has a name of its own for writing. Arguments: pid,
 * lvec, liovcnt, rvec, riovcnt, flags. */
static __always_inline int process_vm_begins(__u64 pid, __u64 ranges, __u64 count)
{
	return keep_call(WIRE_PROCESS_VM_WRITE, (__u32)pid, ranges, count, 0, 0, 0);
}

static __always_inline int process_vm_ends(void *ctx, long ret)
{
	struct call call;

	return take_call(WIRE_PROCESS_VM_WRITE, &call) ? process_vm_write_body(ctx, &call, ret) : 0;
}
#define PROCESS_VM_BEGINS(ARG) process_vm_begins(SYSCALL_PARM1(ARG(0)), SYSCALL_PARM4(ARG(0)), SYSCALL_PARM5(ARG(0)))
#define PROCESS_VM_ENDS(ret) process_vm_ends(ctx, ret)
ON_BOTH(memory_process_vm_write, , __x64_sys_process_vm_writev, 1, PROCESS_VM_BEGINS, PROCESS_VM_ENDS)

/* security_ptrace_access_check(child, mode): whom a process_vm_writev that is under way is about. Not asked for the
 * caller itself. */
static __always_inline int access_check_body(struct task_struct *child)
{
	__u64 key = call_key(WIRE_PROCESS_VM_WRITE);
	struct call *call = bpf_map_lookup_elem(&calls, &key);

	if (call)
		call->args[4] = (__u64)child;
	return 0;
}
#define ACCESS_CHECK(ARG) access_check_body((struct task_struct *)ARG(0))
ON_ENTRY(memory_process_vm_write__target, security_ptrace_access_check, ACCESS_CHECK)

SEC("raw_tp/syscalls/sys_enter_process_vm_writev")
int memory_process_vm_write__enter(struct call_enters *ctx)
{
	struct arguments arguments = arguments_of(ctx->registers);

	return process_vm_begins(arguments.args[0], arguments.args[3], arguments.args[4]);
}

SEC("raw_tp/syscalls/sys_exit_process_vm_writev")
int memory_process_vm_write__exit(struct call_exits *ctx)
{
	return process_vm_ends(ctx, ctx->ret);
}

/* The process whose /proc/PID/mem (or /proc/PID/task/TID/mem) a file is. */
static __always_inline struct task_struct *task_of_proc_file(struct file *file)
{
	struct inode *inode = READ(file, f_inode);
	struct proc_inode *proc = (void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);
	struct pid *pid = READ(proc, pid);
	struct hlist_node *first = READ(pid, tasks[0].first);

	return first ? (void *)first - bpf_core_field_offset(struct task_struct, pid_links) : NULL;
}

/* mem_write(file, buf, count, ppos), of /proc/PID/mem */
static __always_inline int proc_mem_body(void *ctx, __u64 *args, long ret)
{
	struct task_struct *target;
	struct memory_write *rec;
	struct wire_range *range;
	struct pool_row *row;

	if (ret <= 0)
		return 0;
	row = take_row(WIRE_PROC_MEM_WRITE);
	if (!row)
		return 0;
	rec = record_in(row, struct memory_write);
	if (begin_event(ctx, row, (void *)rec, WIRE_PROC_MEM_WRITE)) {
		target = task_of_proc_file((struct file *)args[0]);
		__builtin_memset(&rec->target, 0, sizeof(rec->target));
		if (target)
			fill_target(&rec->target, target);
		else
			rec->hdr.incomplete |= WIRE_MISSING_TARGET;
		/* The position lies behind what was written. */
		range = (void *)row->tail;
		range->address = READ_AT(__u64, args[3]) - ret;
		range->length = ret;
		rec->bytes = ret;
		rec->ranges = 1;
		rec->pad0 = 0;
		rec->range.off = sizeof(*rec);
		rec->range.len = sizeof(*range);
		send_record(ctx, &activity, &rec->hdr, sizeof(*rec) + sizeof(*range));
	}
	give_back(row);
	return 0;
}
ON_RETURN(memory_proc_mem_write, , mem_write, WIRE_PROC_MEM_WRITE, 4, proc_mem_body)

/* ---- Memory files ---- */

static __always_inline int tell_memfd(void *ctx, const char *name, const bool user, struct inode *inode)
{
	struct pool_row *row = take_row(WIRE_MEMFD_CREATE);
	struct memfd_done *rec;
	__u64 at;

	if (!row)
		return 0;
	rec = record_in(row, struct memfd_done);
	if (begin_event(ctx, row, (void *)rec, WIRE_MEMFD_CREATE)) {
		rec->inode = inode ? READ(inode, i_ino) : 0;
		rec->dev = inode ? READ(inode, i_sb, s_dev) : 0;
		rec->pad0 = 0;
		at = put_pool_text(row, 0, sizeof(*rec), &rec->name, name, user, NAME_BYTES);
		end_event(ctx, &activity, &rec->hdr, sizeof(*rec), at);
	}
	give_back(row);
	return 0;
}

/* shmem_file_setup(name, size, flags) and hugetlb_file_setup(name, ...): the name of a memory file begins with
 * "memfd:", and no other's does. */
static __always_inline int memfd_body(void *ctx, __u64 *args, unsigned long file)
{
	char start[6] = {};

	bpf_probe_read_kernel(start, sizeof(start), (void *)args[0]);
	if (is_error(file) || __builtin_memcmp(start, "memfd:", sizeof(start)))
		return 0;
	return tell_memfd(ctx, (const char *)args[0] + sizeof(start), false, READ((struct file *)file, f_inode));
}
ON_RETURN(memory_memfd_create, , shmem_file_setup, WIRE_MEMFD_CREATE, 3, memfd_body)

/* memfd_create(name, flags) */
static __always_inline int memfd_syscall(void *ctx, __u64 *args, long ret)
{
	return is_error(ret) ? 0 : tell_memfd(ctx, (const char *)args[0], true, NULL);
}
ON_SYSCALL(memory_memfd_create, memfd_create, WIRE_MEMFD_CREATE, memfd_syscall)

/* ---- Executable memory ---- */

static __always_inline int tell_executable(void *ctx, __u32 kind, __u64 address, __u64 length, __u64 protection,
					   __u64 flags)
{
	struct executable_memory *rec;
	struct pool_row *row = take_row(kind);

	if (!row)
		return 0;
	rec = record_in(row, struct executable_memory);
	if (begin_event(ctx, row, (void *)rec, kind)) {
		rec->address = address;
		rec->length = length;
		rec->protection = protection;
		rec->flags = flags;
		send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
	}
	give_back(row);
	return 0;
}

/* do_mprotect_pkey(start, len, prot, pkey), and mprotect(start, len, prot) */
static __always_inline int mprotect_body(void *ctx, __u64 *args, int ret)
{
	if (ret || !(args[2] & PROT_EXEC))
		return 0;
	return tell_executable(ctx, WIRE_MPROTECT_EXEC, args[0], args[1], args[2], 0);
}

SEC("fexit/do_mprotect_pkey")
int memory_mprotect_exec__fexit(__u64 *ctx)
{
	/* Most calls make nothing executable: they end here. */
	return (ctx[2] & PROT_EXEC) && current_in_scope() ? mprotect_body(ctx, ctx, ctx[4]) : 0;
}

SEC("kprobe/do_mprotect_pkey")
int memory_mprotect_exec__kprobe(struct pt_regs *ctx)
{
	__u64 prot = PT_REGS_PARM3(ctx);

	if (!(prot & PROT_EXEC))
		return 0;
	return keep_call(WIRE_MPROTECT_EXEC, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), prot, 0, 0, 0);
}

static __always_inline int mprotect_ends(void *ctx, int ret)
{
	struct call call;

	return take_call(WIRE_MPROTECT_EXEC, &call) ? mprotect_body(ctx, call.args, ret) : 0;
}

SEC("kretprobe/do_mprotect_pkey")
int memory_mprotect_exec__kretprobe(struct pt_regs *ctx)
{
	return mprotect_ends(ctx, PT_REGS_RC(ctx));
}

static __always_inline int mprotect_enters(struct call_enters *ctx)
{
	return (SYSCALL_PARM3(ctx->registers) & PROT_EXEC) ? keep_arguments(WIRE_MPROTECT_EXEC, ctx) : 0;
}

SEC("raw_tp/syscalls/sys_enter_mprotect")
int memory_mprotect_exec__enter(struct call_enters *ctx)
{
	return mprotect_enters(ctx);
}

SEC("raw_tp/syscalls/sys_exit_mprotect")
int memory_mprotect_exec__exit(struct call_exits *ctx)
{
	return mprotect_ends(ctx, ctx->ret);
}

SEC("raw_tp/syscalls/sys_enter_pkey_mprotect")
int memory_mprotect_exec__enter_more(struct call_enters *ctx)
{
	return mprotect_enters(ctx);
}

SEC("raw_tp/syscalls/sys_exit_pkey_mprotect")
int memory_mprotect_exec__exit_more(struct call_exits *ctx)
{
	return mprotect_ends(ctx, ctx->ret);
}

/* Executable and of no file, or executable and writable. */
static __always_inline bool is_suspicious(bool has_file, __u64 prot)
{
	return (prot & PROT_EXEC) && (!has_file || (prot & PROT_WRITE));
}

/* vm_mmap_pgoff(file, addr, len, prot, flag, pgoff) */
SEC("fexit/vm_mmap_pgoff")
int memory_mmap_exec__fexit(__u64 *ctx)
{
	if (!is_suspicious(ctx[0], ctx[3]) || is_error(ctx[6]) || !current_in_scope())
		return 0;
	return tell_executable(ctx, WIRE_MMAP_EXEC, ctx[6], ctx[2], ctx[3], ctx[4]);
}

SEC("kprobe/vm_mmap_pgoff")
int memory_mmap_exec__kprobe(struct pt_regs *ctx)
{
	if (!is_suspicious(PT_REGS_PARM1(ctx), PT_REGS_PARM4(ctx)))
		return 0;
	return keep_call(WIRE_MMAP_EXEC, PT_REGS_PARM3(ctx), PT_REGS_PARM4(ctx), PT_REGS_PARM5(ctx), 0, 0, 0);
}

static __always_inline int mmap_ends(void *ctx, unsigned long ret)
{
	struct call call;

	if (!take_call(WIRE_MMAP_EXEC, &call) || is_error(ret))
		return 0;
	return tell_executable(ctx, WIRE_MMAP_EXEC, ret, call.args[0], call.args[1], call.args[2]);
}

SEC("kretprobe/vm_mmap_pgoff")
int memory_mmap_exec__kretprobe(struct pt_regs *ctx)
{
	return mmap_ends(ctx, PT_REGS_RC(ctx));
}

/* mmap(addr, len, prot, flags, fd, offset) */
SEC("raw_tp/syscalls/sys_enter_mmap")
int memory_mmap_exec__enter(struct call_enters *ctx)
{
	struct arguments arguments = arguments_of(ctx->registers);
	__u64 prot = arguments.args[2], flags = arguments.args[3];

	if (!is_suspicious(!(flags & MAP_ANONYMOUS), prot))
		return 0;
	return keep_call(WIRE_MMAP_EXEC, arguments.args[1], prot, flags, 0, 0, 0);
}

SEC("raw_tp/syscalls/sys_exit_mmap")
int memory_mmap_exec__exit(struct call_exits *ctx)
{
	return mmap_ends(ctx, ctx->ret);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
