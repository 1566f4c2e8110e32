/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel family: modules, BPF programs, kexec, sysctl. */
#include "part.bpf.h"
#include "slots.bpf.h"
#include "wire/kernel.h"

/* ---- Modules ---- */

/* security_kernel_read_file(file, id, contents): which file is about to become part of the kernel. */
static __always_inline int read_file_body(void *ctx, struct file *file, int id)
{
	__u32 of = 0;

	if (reads_module(id))
		of = WIRE_MODULE_LOAD;
	else if (reads_kexec_image(id))
		of = WIRE_KEXEC_LOAD;
	if (!of)
		return 0;
	return tell_part(ctx, of, WIRE_PART_FILE, (void *)file + bpf_core_field_offset(struct file, f_path));
}
#define READ_FILE(ARG) read_file_body(ctx, (struct file *)ARG(0), ARG(1))
SEC("fentry/security_kernel_read_file")
int kernel_module_load__file__fentry_more(__u64 *ctx)
{
	return READ_FILE(FENTRY_ARG);
}

SEC("kprobe/security_kernel_read_file")
int kernel_module_load__file__kprobe_more(struct pt_regs *ctx)
{
	return READ_FILE(KPROBE_ARG);
}

static __always_inline int module_body(void *ctx, __u32 kind, struct module *module, const int copy)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct module_change *rec;
	struct pool_row *row;

	if (already_done(READ(task, pid), kind, copy) || !current_in_scope())
		return 0;
	mark_done(READ(task, pid), kind, copy);
	row = take_row(kind);
	if (!row)
		return 0;
	rec = record_in(row, struct module_change);
	if (begin_event(ctx, row, (void *)rec, kind)) {
		rec->taints = READ(module, taints);
		__builtin_memset(rec->name, 0, sizeof(rec->name));
		bpf_probe_read_kernel_str(rec->name, sizeof(rec->name), &module->name);
		send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
	}
	give_back(row);
	return 0;
}

WITH_STAND_INS("tp_btf/module_load", kernel_module_load__tp_btf, __u64,
	       module_body(ctx, WIRE_MODULE_LOAD, (struct module *)ctx[0], copy))
WITH_STAND_INS("raw_tp/module_load", kernel_module_load__raw_tp, struct bpf_raw_tracepoint_args,
	       module_body(ctx, WIRE_MODULE_LOAD, (void *)ctx->args[0], copy))
WITH_STAND_INS("tp_btf/module_free", kernel_module_unload__tp_btf, __u64,
	       module_body(ctx, WIRE_MODULE_UNLOAD, (struct module *)ctx[0], copy))
WITH_STAND_INS("raw_tp/module_free", kernel_module_unload__raw_tp, struct bpf_raw_tracepoint_args,
	       module_body(ctx, WIRE_MODULE_UNLOAD, (void *)ctx->args[0], copy))

/* ---- BPF programs ---- */

/* include/uapi/linux/bpf.h: union bpf_attr of BPF_PROG_LOAD */
#define ATTR_NAME 48
#define ATTR_ATTACH_TYPE 68

/* bpf_prog_kallsyms_add(prog): each program that was loaded, and its parts, which have no id. */
static __always_inline int bpf_program_body(void *ctx, struct bpf_prog *prog)
{
	struct bpf_prog_aux *aux = READ(prog, aux);
	__u32 id = READ(aux, id);
	struct bpf_program_loaded *rec;
	struct pool_row *row;
	__u64 at;

	if (!id || !current_in_scope())
		return 0;
	row = take_row(WIRE_BPF_PROGRAM_LOAD);
	if (!row)
		return 0;
	rec = record_in(row, struct bpf_program_loaded);
	if (begin_event(ctx, row, (void *)rec, WIRE_BPF_PROGRAM_LOAD)) {
		rec->id = id;
		rec->type = READ(prog, type);
		rec->attach_type = READ(prog, expected_attach_type);
		rec->pad0 = 0;
		__builtin_memset(rec->name, 0, sizeof(rec->name));
		bpf_probe_read_kernel_str(rec->name, sizeof(rec->name), &aux->name);
		at = put_pool_text(row, 0, sizeof(*rec), &rec->function, READ(aux, attach_func_name), false,
				   NAME_BYTES);
		end_event(ctx, &activity, &rec->hdr, sizeof(*rec), at);
	}
	give_back(row);
	return 0;
}
#define BPF_PROGRAM(ARG) bpf_program_body(ctx, (struct bpf_prog *)ARG(0))
ON_ENTRY(kernel_bpf_program_load, bpf_prog_kallsyms_add, BPF_PROGRAM)

/* bpf(cmd, attr, size) */
SEC("raw_tp/syscalls/sys_enter_bpf")
int kernel_bpf_program_load__enter(struct call_enters *ctx)
{
	if (SYSCALL_PARM1(ctx->registers) == BPF_PROG_LOAD)
		keep_call(WIRE_BPF_PROGRAM_LOAD, SYSCALL_PARM2(ctx->registers), 0, 0, 0, 0, 0);
	return next_at_entry(ctx);
}

static __always_inline int program_load_ends(struct call_exits *ctx)
{
	struct bpf_program_loaded *rec;
	struct pool_row *row;
	struct call call;

	if (!take_call(WIRE_BPF_PROGRAM_LOAD, &call) || ctx->ret < 0)
		return 0;
	row = take_row(WIRE_BPF_PROGRAM_LOAD);
	if (!row)
		return 0;
	rec = record_in(row, struct bpf_program_loaded);
	if (begin_event(ctx, row, (void *)rec, WIRE_BPF_PROGRAM_LOAD)) {
		__builtin_memset(&rec->id, 0, sizeof(*rec) - __builtin_offsetof(struct bpf_program_loaded, id));
		bpf_probe_read_user(&rec->type, sizeof(rec->type), (void *)call.args[0]);
		bpf_probe_read_user(&rec->attach_type, sizeof(rec->attach_type),
				    (void *)call.args[0] + ATTR_ATTACH_TYPE);
		bpf_probe_read_user_str(rec->name, sizeof(rec->name), (void *)call.args[0] + ATTR_NAME);
		send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
	}
	give_back(row);
	return 0;
}

SEC("raw_tp/syscalls/sys_exit_bpf")
int kernel_bpf_program_load__exit(struct call_exits *ctx)
{
	program_load_ends(ctx);
	return next_at_end(ctx);
}

/* ---- BPF objects of others ---- */

/* include/uapi/linux/bpf.h. Where the id, or the descriptor, is: at the beginning of union bpf_attr; so is the pin's
 * path. */
static __always_inline bool takes_id(__u32 command)
{
	return command == BPF_PROG_GET_FD_BY_ID || command == BPF_MAP_GET_FD_BY_ID || command == BPF_LINK_GET_FD_BY_ID;
}

static __always_inline bool reaches_for_others(__u32 command)
{
	return takes_id(command) || command == BPF_OBJ_GET || command == BPF_PROG_ATTACH ||
	       command == BPF_PROG_DETACH || command == BPF_LINK_UPDATE || command == BPF_LINK_DETACH;
}

static __always_inline int tell_bpf_access(void *ctx, __u32 command, __u64 attr, long ret)
{
	struct bpf_accessed *rec;
	struct pool_row *row;
	__u64 at = 0, path = 0;

	if (ret < 0)
		return 0;
	row = take_row(WIRE_BPF_ACCESS);
	if (!row)
		return 0;
	rec = record_in(row, struct bpf_accessed);
	if (begin_event(ctx, row, (void *)rec, WIRE_BPF_ACCESS)) {
		rec->command = command;
		rec->id = 0;
		if (takes_id(command))
			bpf_probe_read_user(&rec->id, sizeof(rec->id), (void *)attr);
		if (command == BPF_OBJ_GET)
			bpf_probe_read_user(&path, sizeof(path), (void *)attr);
		at = put_pool_text(row, 0, sizeof(*rec), &rec->path, (void *)path, true, TEXT_BYTES);
		end_event(ctx, &activity, &rec->hdr, sizeof(*rec), at);
	}
	give_back(row);
	return 0;
}

static __always_inline int bpf_access_begins(__u32 command, __u64 attr)
{
	return reaches_for_others(command) ? keep_call(WIRE_BPF_ACCESS, command, attr, 0, 0, 0, 0) : 0;
}

static __always_inline int bpf_access_ends(void *ctx, long ret)
{
	struct call call;

	return take_call(WIRE_BPF_ACCESS, &call) ? tell_bpf_access(ctx, call.args[0], call.args[1], ret) : 0;
}

/* bpf(cmd, attr, size) */
#define ON_BPF(suffix, function, command, attr)                                                                        \
	SEC("fexit/" #function) int kernel_bpf_access__fexit##suffix(__u64 *ctx)                                       \
	{                                                                                                              \
		__u32 cmd = command(ctx[0]);                                                                           \
                                                                                                                       \
		return reaches_for_others(cmd) && current_in_scope() ? tell_bpf_access(ctx, cmd, attr(ctx[0]), ctx[1]) \
								     : 0;                                              \
	}                                                                                                              \
	SEC("kprobe/" #function) int kernel_bpf_access__kprobe##suffix(struct pt_regs *ctx)                            \
	{                                                                                                              \
		return bpf_access_begins(command(PT_REGS_PARM1(ctx)), attr(PT_REGS_PARM1(ctx)));                       \
	}                                                                                                              \
	SEC("kretprobe/" #function) int kernel_bpf_access__kretprobe##suffix(struct pt_regs *ctx)                      \
	{                                                                                                              \
		return bpf_access_ends(ctx, PT_REGS_RC(ctx));                                                          \
	}
ON_BPF(, __x64_sys_bpf, SYSCALL_PARM1, SYSCALL_PARM2)
#if defined(__TARGET_ARCH_x86)
ON_BPF(32, __ia32_sys_bpf, COMPAT_PARM1, COMPAT_PARM2)
#endif

SEC("raw_tp/syscalls/sys_enter_bpf")
int kernel_bpf_access__enter(struct call_enters *ctx)
{
	return bpf_access_begins(SYSCALL_PARM1(ctx->registers), SYSCALL_PARM2(ctx->registers));
}

SEC("raw_tp/syscalls/sys_exit_bpf")
int kernel_bpf_access__exit(struct call_exits *ctx)
{
	return bpf_access_ends(ctx, ctx->ret);
}

/* ---- kexec ---- */

static __always_inline int tell_kexec(void *ctx, __u32 call, long ret)
{
	struct kexec_done *rec;
	struct pool_row *row;

	if (ret || !current_in_scope())
		return 0;
	row = take_row(WIRE_KEXEC_LOAD);
	if (!row)
		return 0;
	rec = record_in(row, struct kexec_done);
	if (begin_event(ctx, row, (void *)rec, WIRE_KEXEC_LOAD)) {
		rec->call = call;
		rec->pad0 = 0;
		send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
	}
	give_back(row);
	return 0;
}

#define ON_KEXEC(name, function, call)                                         \
	SEC("fexit/" #function) int kernel_kexec_load__fexit##name(__u64 *ctx) \
	{                                                                      \
		return tell_kexec(ctx, call, ctx[1]);                          \
	}                                                                      \
	SEC("kretprobe/" #function)                                            \
	int kernel_kexec_load__kretprobe##name(struct pt_regs *ctx)            \
	{                                                                      \
		return tell_kexec(ctx, call, PT_REGS_RC(ctx));                 \
	}
ON_KEXEC(, __x64_sys_kexec_load, WIRE_KEXEC_LOAD_CALL)
ON_KEXEC(_file, __x64_sys_kexec_file_load, WIRE_KEXEC_FILE_LOAD_CALL)

SEC("raw_tp/syscalls/sys_exit_kexec_load")
int kernel_kexec_load__exit(struct call_exits *ctx)
{
	return tell_kexec(ctx, WIRE_KEXEC_LOAD_CALL, ctx->ret);
}

SEC("raw_tp/syscalls/sys_exit_kexec_file_load")
int kernel_kexec_load__exit_file(struct call_exits *ctx)
{
	return tell_kexec(ctx, WIRE_KEXEC_FILE_LOAD_CALL, ctx->ret);
}

/* ---- proc_sys_call_handler(iocb, iter, write) ---- */

#define VALUE_BYTES 256

static __always_inline int sysctl_begins(struct kiocb *iocb, struct iov_iter *iter, int write)
{
	if (!write)
		return 0;
	return keep_call(WIRE_SYSCTL_WRITE, (__u64)READ(iocb, ki_filp), (__u64)iter_user_base(iter), 0, 0, 0, 0);
}

static __always_inline int sysctl_ends(void *ctx, long ret)
{
	struct sysctl_written *rec;
	struct pool_row *row;
	struct file *file;
	struct call call;
	__u64 at, len;

	if (!take_call(WIRE_SYSCTL_WRITE, &call) || ret <= 0)
		return 0;
	row = take_row(WIRE_SYSCTL_WRITE);
	if (!row)
		return 0;
	rec = record_in(row, struct sysctl_written);
	if (begin_event(ctx, row, (void *)rec, WIRE_SYSCTL_WRITE)) {
		file = (struct file *)call.args[0];
		at = put_pool_path(row, 0, sizeof(*rec), &rec->path, READ(file, f_path.mnt), READ(file, f_path.dentry),
				   &rec->hdr.incomplete, WIRE_MISSING_SYSCTL, 0);
		len = ret;
		opaque(len);
		if (len > VALUE_BYTES - 1)
			len = VALUE_BYTES - 1;
		opaque(at);
		rec->value.off = sizeof(*rec) + at;
		rec->value.len = 0;
		if (at <= PATH_BYTES && call.args[1] &&
		    !bpf_probe_read_user(row->tail + at, len, (void *)call.args[1])) {
			rec->value.len = len;
			at += len;
		}
		end_event(ctx, &activity, &rec->hdr, sizeof(*rec), at);
	}
	give_back(row);
	return 0;
}
#define SYSCTL_BEGINS(ARG) sysctl_begins((struct kiocb *)ARG(0), (struct iov_iter *)ARG(1), ARG(2))
#define SYSCTL_ENDS(ret) sysctl_ends(ctx, ret)
ON_BOTH(kernel_sysctl_write, , proc_sys_call_handler, 3, SYSCTL_BEGINS, SYSCTL_ENDS)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
