/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Changes of credentials: where the kernel puts them into force, whatever asked for it. */
#include "call.bpf.h"
#include "slots.bpf.h"
#include "wire/privilege.h"

static __always_inline void fill_credentials(struct wire_credentials *out, const struct cred *cred)
{
	const bool direct = false;

	put_ids(out, cred);
	out->fsuid = READ(cred, fsuid.val);
	out->fsgid = READ(cred, fsgid.val);
	put_capabilities(out, cred);
	out->groups = (__u64)READ(cred, group_info);
}

/* Two of them are different. By numbers, not by members: of fourteen branches the verifier would look at every
 * combination, together with all that follows (430 ms a program). */
static __always_inline bool are_different(const struct wire_credentials *old, const struct wire_credentials *new)
{
	const __u64 *a = (const void *)old, *b = (const void *)new;
	__u64 bits = 0;

	for (int i = 0; i < (int)(sizeof(*old) / sizeof(*a)); i++) {
		bits |= a[i] ^ b[i];
		opaque(bits); /* or clang makes fourteen branches of it */
	}
	return bits;
}
WIRE_ASSERT(sizeof(struct wire_credentials) % sizeof(__u64) == 0);

/* Sets `changed` of the record in a row of the pool, but for groups. Global, and on what is in the map only, for the
 * same reason. */
__noinline int note_changes(__u32 copy)
{
	struct pool_row *row = scratch_of(&pool_scratch, copy);
	struct credentials_change *rec;

	if (!row)
		return 0;
	rec = record_in(row, struct credentials_change);
#define NOTE(member, now, bit)              \
	if (rec->before.member != rec->now) \
	rec->changed |= bit
	NOTE(uid, task.uid, WIRE_CHANGED_USER);
	NOTE(ruid, task.ruid, WIRE_CHANGED_REAL_USER);
	NOTE(suid, task.suid, WIRE_CHANGED_SAVED_USER);
	NOTE(fsuid, fsuid, WIRE_CHANGED_FS_USER);
	NOTE(gid, task.gid, WIRE_CHANGED_GROUP);
	NOTE(rgid, task.rgid, WIRE_CHANGED_REAL_GROUP);
	NOTE(sgid, task.sgid, WIRE_CHANGED_SAVED_GROUP);
	NOTE(fsgid, fsgid, WIRE_CHANGED_FS_GROUP);
	NOTE(cap_effective, cap_effective, WIRE_CHANGED_EFFECTIVE);
	NOTE(cap_permitted, cap_permitted, WIRE_CHANGED_PERMITTED);
	NOTE(cap_inheritable, cap_inheritable, WIRE_CHANGED_INHERITABLE);
	NOTE(cap_bounding, cap_bounding, WIRE_CHANGED_BOUNDING);
	NOTE(cap_ambient, cap_ambient, WIRE_CHANGED_AMBIENT);
#undef NOTE
	return 0;
}

/* Not inlined, as the next: the stack of what asks is free again when the record is made. All stacks of a chain of
 * calls must fit in 512 bytes. */
static __noinline bool differs_from(const struct wire_credentials *old, const struct cred *cred)
{
	struct wire_credentials now;

	fill_credentials(&now, cred);
	return are_different(old, &now);
}

static __noinline bool are_other(const struct cred *before, const struct cred *after)
{
	struct wire_credentials old;

	fill_credentials(&old, before);
	return differs_from(&old, after);
}

/* `copied`, if there is one, is what was before; else `before` is. */
static __always_inline int tell_credentials(void *ctx, void *buffer, __u32 kind, const struct wire_credentials *copied,
					    const struct cred *before, const struct cred *after, __u32 user_ns)
{
	struct credentials_change *rec;
	struct wire_credentials *old, *new;
	struct pool_row *row = take_row(kind);

	if (!row)
		return 0;
	rec = record_in(row, struct credentials_change);
	if (begin_event(ctx, row, (void *)rec, kind)) {
		old = &rec->before;
		new = (void *)row->tail; /* room that this record does not need */
		if (copied)
			*old = *copied;
		else
			fill_credentials(old, before);
		fill_credentials(new, after);
		rec->task.uid = new->uid;
		rec->task.gid = new->gid;
		rec->task.ruid = new->ruid;
		rec->task.rgid = new->rgid;
		rec->task.suid = new->suid;
		rec->task.sgid = new->sgid;
		if (user_ns)
			rec->task.ns.user = user_ns;
		rec->cap_effective = new->cap_effective;
		rec->cap_permitted = new->cap_permitted;
		rec->cap_inheritable = new->cap_inheritable;
		rec->cap_bounding = new->cap_bounding;
		rec->cap_ambient = new->cap_ambient;
		rec->fsuid = new->fsuid;
		rec->fsgid = new->fsgid;
		rec->changed = kind != WIRE_CAPABILITY_SET && old->groups != new->groups ? WIRE_CHANGED_GROUPS : 0;
		note_changes(row->slot);
		rec->syscall = current_syscall();
		send_record(ctx, buffer, &rec->hdr, sizeof(*rec));
	}
	give_back(row);
	return 0;
}

/* commit_creds(new), before it is in force */
static __always_inline int commit_body(void *ctx, const struct cred *cred)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	const struct cred *before;

	if (!current_in_scope())
		return 0;
	before = READ(task, real_cred);
	if (!are_other(before, cred))
		return 0;
	return tell_credentials(ctx, &lifecycle, WIRE_SET_CREDENTIALS, NULL, before, cred,
				READ(cred, user_ns, ns.inum));
}
#define COMMIT(ARG) commit_body(ctx, (const struct cred *)ARG(0))
ON_ENTRY(privilege_set_credentials, commit_creds, COMMIT)

/* security_capset(new, old, effective, inheritable, permitted): the last thing in capset(2) that can refuse. */
static __always_inline int capset_body(void *ctx, __u64 *args, int ret)
{
	if (ret)
		return 0;
	return tell_credentials(ctx, &activity, WIRE_CAPABILITY_SET, NULL, (const struct cred *)args[1],
				(const struct cred *)args[0], 0);
}
ON_RETURN(privilege_capability_set, , security_capset, WIRE_CAPABILITY_SET, 5, capset_body)

/* ---- The same by tracepoints: what the thread had before the system call, against what it has after ---- */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct wire_credentials);
} credentials_before SEC(".maps");

/* `exec`: what begins, if it is an exec; else NULL. Its new credentials are made already, and commit_creds() puts these
 * into force (begin_new_exec(), fs/exec.c): if they are the same, nothing is kept. */
static __always_inline int credentials_begin(__u32 kind, struct linux_binprm *exec)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 key = call_key(kind);
	struct wire_credentials now;

	if (!current_in_scope())
		return 0;
	fill_credentials(&now, READ(task, real_cred));
	if (!exec || differs_from(&now, READ(exec, cred)))
		bpf_map_update_elem(&credentials_before, &key, &now, BPF_ANY);
	return 0;
}

static __always_inline int credentials_end(void *ctx, void *buffer, __u32 kind, const bool even_if_same)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 key = call_key(kind);
	struct wire_credentials *before = bpf_map_lookup_elem(&credentials_before, &key);
	const struct cred *cred = READ(task, real_cred);
	struct wire_credentials old;

	if (!before)
		return 0;
	old = *before;
	bpf_map_delete_elem(&credentials_before, &key);
	if (!even_if_same && !differs_from(&old, cred))
		return 0;
	return tell_credentials(ctx, buffer, kind, &old, NULL, cred, 0);
}

/* On every system call that can change credentials (programs.cpp names them). */
SEC("raw_tp/syscalls/sys_enter_setuid")
int privilege_set_credentials__enter(struct call_enters *ctx)
{
	return credentials_begin(WIRE_SET_CREDENTIALS, NULL);
}

SEC("raw_tp/syscalls/sys_exit_setuid")
int privilege_set_credentials__exit(struct call_exits *ctx)
{
	return credentials_end(ctx, &lifecycle, WIRE_SET_CREDENTIALS, false);
}

/* An exec: sched_prepare_exec(task, bprm) (6.10) is before the change, sched_process_exec after. */
SEC("raw_tp/sched_prepare_exec")
int privilege_set_credentials__before_exec_more(struct bpf_raw_tracepoint_args *ctx)
{
	return credentials_begin(WIRE_SET_CREDENTIALS, (void *)ctx->args[1]);
}

SEC("raw_tp/sched_process_exec")
int privilege_set_credentials__after_exec_more(struct bpf_raw_tracepoint_args *ctx)
{
	return credentials_end(ctx, &lifecycle, WIRE_SET_CREDENTIALS, false);
}

SEC("raw_tp/syscalls/sys_enter_capset")
int privilege_capability_set__enter(struct call_enters *ctx)
{
	credentials_begin(WIRE_CAPABILITY_SET, NULL);
	return next_at_entry(ctx);
}

SEC("raw_tp/syscalls/sys_exit_capset")
int privilege_capability_set__exit(struct call_exits *ctx)
{
	if (!ctx->ret)
		credentials_end(ctx, &activity, WIRE_CAPABILITY_SET, true);
	return next_at_end(ctx);
}

/* ---- audit_set_loginuid(loginuid) ---- */

static __always_inline int login_uid_begins(void)
{
	return keep_call(WIRE_LOGIN_UID_SET, task_login_uid((void *)bpf_get_current_task()), 0, 0, 0, 0, 0);
}

static __always_inline int login_uid_ends(void *ctx, int ret)
{
	struct login_uid_change *rec;
	struct pool_row *row;
	struct call call;

	if (!take_call(WIRE_LOGIN_UID_SET, &call) || ret)
		return 0;
	row = take_row(WIRE_LOGIN_UID_SET);
	if (!row)
		return 0;
	rec = record_in(row, struct login_uid_change);
	if (begin_event(ctx, row, (void *)rec, WIRE_LOGIN_UID_SET)) {
		rec->before = call.args[0];
		rec->pad0 = 0;
		send_record(ctx, &activity, &rec->hdr, sizeof(*rec));
	}
	give_back(row);
	return 0;
}
#define LOGIN_UID_BEGINS(ARG) login_uid_begins()
#define LOGIN_UID_ENDS(ret) login_uid_ends(ctx, ret)
ON_BOTH(privilege_login_uid_set, , audit_set_loginuid, 1, LOGIN_UID_BEGINS, LOGIN_UID_ENDS)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
