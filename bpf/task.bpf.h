/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who acts: the part of every record that describes the process. */
#pragma once
#include "cred.bpf.h"
#include "emit.bpf.h"
#include "path.bpf.h"
#include "wire/process.h"

struct innermost_pid {
	__u32 nr, ns;
};

static __always_inline struct innermost_pid innermost_pid_of(struct task_struct *task)
{
	struct innermost_pid result = {};
	struct pid *pid = pid_of(task);
	__u32 level = READ(pid, level);
	struct upid *upid = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			    (__u64)level * bpf_core_type_size(struct upid);

	result.nr = READ(upid, nr);
	result.ns = READ(upid, ns, ns.inum);
	return result;
}

/* The root-namespace number of the process group or session of a thread group; 0: none. */
static __always_inline __u32 signal_pid_nr(struct task_struct *task, int type)
{
	struct pid *pid = signal_pid(task, type);

	return pid ? READ(pid, numbers[0].nr) : 0;
}

static __always_inline void fill_namespaces(struct wire_namespaces *out, struct task_struct *task, __u32 pid_ns,
					    const bool direct)
{
	struct nsproxy *proxy = KREAD(task, nsproxy);

	out->mnt = KREAD(proxy, mnt_ns, ns.inum);
	out->pid = pid_ns;
	out->net = KREAD(proxy, net_ns, ns.inum);
	out->user = KREAD(task, real_cred, user_ns, ns.inum);
	out->uts = KREAD(proxy, uts_ns, ns.inum);
	out->ipc = KREAD(proxy, ipc_ns, ns.inum);
	out->cgroup = KREAD(proxy, cgroup_ns, ns.inum);
	/* Linux kernel commit 769071ac9f20 ("ns: Introduce Time Namespace") (in v5.6) */
	out->time = bpf_core_field_exists(struct nsproxy, time_ns) ? KREAD(proxy, time_ns, ns.inum) : 0;
}

/* Two numbers: less than a call that copies a text. What is behind the NUL is nothing. */
static __always_inline void put_comm(struct wire_task *out, struct task_struct *leader)
{
	const void *from = (const void *)leader + bpf_core_field_offset(struct task_struct, comm);
	__u64 *to = (void *)out->comm;

	to[0] = READ_AT(__u64, from);
	to[1] = READ_AT(__u64, from + sizeof(*to));
}
WIRE_ASSERT(sizeof(((struct wire_task *)0)->comm) == 2 * sizeof(__u64));

static __always_inline void fill_task(struct wire_task *out, struct task_struct *task, const bool direct)
{
	struct task_struct *leader = KREAD(task, group_leader);
	struct task_struct *parent = KREAD(task, real_parent);
	const struct cred *cred = KREAD(task, real_cred);
	struct innermost_pid own = innermost_pid_of(leader);

	out->start_ns = start_ns_of(leader, direct);
	out->parent_start_ns = start_ns_of(KREAD(parent, group_leader), direct);
	out->pid = KREAD(task, tgid);
	out->tid = KREAD(task, pid);
	out->vpid = own.nr;
	out->parent_pid = KREAD(parent, tgid);
	put_ids(out, cred);
	out->login_uid = task_login_uid(task);
	out->pad0 = 0;
	fill_namespaces(&out->ns, task, own.ns, direct);
	put_comm(out, leader);
}

/* A cgroup's path is sent once: the record of a process carries only the id. Here are the ids of those that were sent,
 * by the last bits of the id, newest first. One that is pushed out by others, or by a CPU that writes at the same
 * time, is sent again. 16 KiB: so small an array does not lie in pages of its own, which costs less than a hash table.
 */
#define CGROUP_WAYS 4
#define CGROUP_ROWS 512
struct cgroup_ids {
	__u64 id[CGROUP_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CGROUP_ROWS);
	__type(key, __u32);
	__type(value, struct cgroup_ids);
} cgroups_seen __weak SEC(".maps");

static __always_inline struct cgroup_ids *cgroup_ids_like(__u64 id)
{
	__u32 row = id % CGROUP_ROWS;

	return bpf_map_lookup_elem(&cgroups_seen, &row);
}

static __always_inline bool is_cgroup_told(__u64 id)
{
	struct cgroup_ids *ids = cgroup_ids_like(id);

	return ids && (ids->id[0] == id || ids->id[1] == id || ids->id[2] == id || ids->id[3] == id);
}

static __always_inline void note_cgroup_told(__u64 id)
{
	struct cgroup_ids *ids = cgroup_ids_like(id);

	if (!ids)
		return;
	ids->id[3] = ids->id[2];
	ids->id[2] = ids->id[1];
	ids->id[1] = ids->id[0];
	ids->id[0] = id;
}

/* Where the record of a cgroup's path is made: COPIES rows on each CPU, for all programs, since few events are the
 * first of their cgroup. Another program can come between on the same CPU, so a row is taken first: who adds one and
 * reads one has it. An event that finds none goes without the path; the next one of its cgroup brings it. */
#define CGROUP_PATH_LIMIT 4096
struct cgroup_row {
	__u64 holders;
	struct path_walk walk; /* its dentry is a kernfs node */
	struct cgroup_path rec;
	__u8 tail[CGROUP_PATH_LIMIT + NAME_BYTES];
};
SCRATCH(cgroup_scratch __weak, struct cgroup_row);

#define CGROUP_COMPONENTS 32

#ifdef NIGHTJAR_LEGACY
static __always_inline __u32 walk_kernfs(volatile struct path_walk *walk, __u8 *base, __u64 limit,
					 struct kernfs_node *node)
{
	begin_walk(walk, 0);
	UNROLLED for (int i = 0; i < CGROUP_COMPONENTS; i++)
	{
		struct kernfs_node *parent = kernfs_parent(node);

		STOP_UNLESS(parent);
		STOP_UNLESS(put_component(walk, base, limit, READ(node, name)));
		node = parent;
	}
	LOOP_END;
	return end_walk(walk, base, 0, limit);
}

/* Sets out->cgroup_id, and sends the cgroup's path if this is the first time it is seen. Nothing comes between here:
 * legacy.bpf.h. */
static __always_inline void fill_cgroup(void *ctx, struct wire_header *hdr, struct wire_task *out,
					struct task_struct *task)
{
	struct cgroup_row *s = scratch_of(&cgroup_scratch, 0);
	struct kernfs_node *node = READ(task_cgroup(task), kn);
	__u64 id = kernfs_id(node);
	__u64 lost;
	__u64 len; /* 64 bits: 5.10 does not carry bounds of 32-bit compares over */

	out->cgroup_id = id;
	RETURN_UNLESS(id);
	RETURN_UNLESS(!is_cgroup_told(id));
	RETURN_UNLESS(s);
	if (!s) /* what the compiler sees */
		return;
	RETURN_UNLESS(begin_record(&s->rec.hdr, WIRE_CGROUP));
	s->rec.hdr.time_ns = hdr->time_ns; /* that of the event: it must not be sorted behind it */
	s->rec.id = id;
	len = walk_kernfs(&s->walk, s->tail, CGROUP_PATH_LIMIT, node);
	opaque(len);
	lost = 1;
	if (len) {
		opaque(len); /* one check, of the number itself: the compiler would make it one of the number - 1 */
		if (len <= sizeof(s->tail)) {
			s->rec.path.off = sizeof(s->rec);
			s->rec.path.len = len;
			lost = !send_record(ctx, &lifecycle, &s->rec.hdr, sizeof(s->rec) + len);
		}
	}
	opaque(lost); /* or the compiler lays out a backward jump, which the legacy tier must not have */
	if (!lost)
		note_cgroup_told(id);
	hdr->incomplete |= lost * WIRE_MISSING_CGROUP;
	RETURNS;
}

/* Everything of a cgroup is done at its end. */
static __always_inline __u32 begin_cgroup(struct wire_header *hdr, struct wire_task *out, struct task_struct *task)
{
	return 0;
}

static __always_inline void end_cgroup(void *ctx, struct wire_header *hdr, struct wire_task *out,
				       struct task_struct *task, __u32 record)
{
	fill_cgroup(ctx, hdr, out, task);
}
#else
static __always_inline struct cgroup_row *cgroup_row_at(__u32 row)
{
	return bpf_map_lookup_elem(&cgroup_scratch, &row);
}

static __always_inline void give_cgroup_row(struct cgroup_row *s)
{
	__sync_fetch_and_add(&s->holders, -1);
}

/* Some steps towards the root of the hierarchy; 0: the walk is over. Global, as is the next: verified once a program.
 */
#define CGROUP_STRIDE 4
__weak __noinline int walk_kernfs(__u32 row)
{
	struct cgroup_row *s = cgroup_row_at(row);
	struct kernfs_node *node;

	if (!s)
		return 0;
	node = (void *)s->walk.dentry;
	for (int i = 0; i < CGROUP_STRIDE; i++) {
		struct kernfs_node *parent = kernfs_parent(node);

		if (!parent || !put_component(&s->walk, s->tail, CGROUP_PATH_LIMIT, READ(node, name)))
			return 0;
		node = parent;
	}
	s->walk.dentry = (__u64)node;
	return 1;
}

/* What make_cgroup_record() gives, in one number: the row, which is the caller's until send_cgroup_record() gives it
 * back, and the size of the record in it. */
#define CGROUP_RECORD(row, size) ((row) << 16 | (size))
#define CGROUP_RECORD_ROW(record) ((record) >> 16)
#define CGROUP_RECORD_SIZE(record) ((record) & 0xffff)
/* It has no path that could be told. */
#define CGROUP_UNKNOWN 1

/* The record of a cgroup's path; 0: nothing is to be sent. `counted` false: it is no event of the current task's. */
__weak __noinline __u32 make_cgroup_record(__u64 of_node, __u64 time_ns, __u32 counted)
{
	struct kernfs_node *node = (void *)of_node;
	struct cgroup_row *s = NULL;
	__u32 row = 0;
	__u64 len; /* 64 bits: 5.10 does not carry bounds of 32-bit compares over */

	for (int i = 0; i < COPIES; i++) {
		row = scratch_row(i);
		s = cgroup_row_at(row);
		if (!s)
			return CGROUP_UNKNOWN;
		__sync_fetch_and_add(&s->holders, 1);
		if (*(volatile __u64 *)&s->holders == 1)
			break;
		give_cgroup_row(s);
		s = NULL;
	}
	if (!s)
		return CGROUP_UNKNOWN;
	__builtin_memset(&s->rec.hdr, 0, sizeof(s->rec.hdr));
	s->rec.hdr.kind = WIRE_CGROUP;
	if (counted && !begin_record(&s->rec.hdr, WIRE_CGROUP)) {
		give_cgroup_row(s);
		return 0;
	}
	s->rec.hdr.time_ns = time_ns; /* that of the event: it must not be sorted behind it */
	s->rec.id = kernfs_id(node);
	begin_walk(&s->walk, 0);
	s->walk.dentry = of_node;
	for (int i = 0; i < CGROUP_COMPONENTS / CGROUP_STRIDE; i++) {
		if (!walk_kernfs(row))
			break;
	}
	len = end_walk(&s->walk, s->tail, 0, CGROUP_PATH_LIMIT);
	opaque(len);
	if (!len || len > sizeof(s->tail)) {
		give_cgroup_row(s);
		return CGROUP_UNKNOWN;
	}
	s->rec.path.off = sizeof(s->rec);
	s->rec.path.len = len;
	s->rec.hdr.size = sizeof(s->rec) + len;
	return CGROUP_RECORD(row, sizeof(s->rec) + len);
}

/* Sets out->cgroup_id. Gives the record of the cgroup's path, to be sent before the event, if this is the first time
 * that the cgroup is seen; else 0. */
static __always_inline __u32 begin_cgroup(struct wire_header *hdr, struct wire_task *out, struct task_struct *task)
{
	struct kernfs_node *node = READ(task_cgroup(task), kn);
	__u64 id = kernfs_id(node);
	__u32 record;

	out->cgroup_id = id;
	if (!id || is_cgroup_told(id))
		return 0;
	record = make_cgroup_record((__u64)node, hdr->time_ns, true);
	if (record == CGROUP_UNKNOWN) {
		hdr->incomplete |= WIRE_MISSING_CGROUP;
		return 0;
	}
	return record;
}

/* Sends what make_cgroup_record() gave. A function of its own: among the caller's registers the size would go to the
 * stack, from where 5.10 takes no bound. */
static __noinline bool send_cgroup_row(void *ctx, __u32 record)
{
	struct cgroup_row *s = cgroup_row_at(CGROUP_RECORD_ROW(record));
	__u64 size = CGROUP_RECORD_SIZE(record);
	bool sent = false;
	__u64 id;

	if (!s)
		return false;
	id = s->rec.id;
	opaque(size);
	if (size <= sizeof(s->rec) + sizeof(s->tail))
		sent = send_record(ctx, &lifecycle, &s->rec.hdr, size);
	give_cgroup_row(s);
	if (sent)
		note_cgroup_told(id);
	return sent;
}

/* A ring buffer needs no context, so that this can be global. */
__weak __noinline int send_cgroup_to_ring(__u32 record)
{
	return use_ring && send_cgroup_row(NULL, record);
}

static __always_inline void send_cgroup_record(void *ctx, struct wire_header *hdr, __u32 record)
{
	if (record && !(use_ring ? send_cgroup_to_ring(record) : send_cgroup_row(ctx, record)))
		hdr->incomplete |= WIRE_MISSING_CGROUP;
}

static __always_inline void end_cgroup(void *ctx, struct wire_header *hdr, struct wire_task *out,
				       struct task_struct *task, __u32 record)
{
	send_cgroup_record(ctx, hdr, record);
}

/* Both. */
static __always_inline void fill_cgroup(void *ctx, struct wire_header *hdr, struct wire_task *out,
					struct task_struct *task)
{
	send_cgroup_record(ctx, hdr, begin_cgroup(hdr, out, task));
}
#endif
