/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who acts: the part of every record that describes the process. */
#pragma once
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
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *upid = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			    (__u64)level * bpf_core_type_size(struct upid);

	result.nr = BPF_CORE_READ(upid, nr);
	result.ns = BPF_CORE_READ(upid, ns, ns.inum);
	return result;
}

/* The root-namespace number of the process group or session of a thread group; 0: none. */
static __always_inline __u32 signal_pid_nr(struct task_struct *task, int type)
{
	struct pid *pid = signal_pid(task, type);

	return pid ? BPF_CORE_READ(pid, numbers[0].nr) : 0;
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
	out->uid = KREAD(cred, euid.val);
	out->gid = KREAD(cred, egid.val);
	out->ruid = KREAD(cred, uid.val);
	out->rgid = KREAD(cred, gid.val);
	out->suid = KREAD(cred, suid.val);
	out->sgid = KREAD(cred, sgid.val);
	out->login_uid = task_login_uid(task);
	out->pad0 = 0;
	fill_namespaces(&out->ns, task, own.ns, direct);
	__builtin_memset(out->comm, 0, sizeof(out->comm));
	bpf_probe_read_kernel_str(out->comm, sizeof(out->comm), &leader->comm);
}

/* A cgroup's path is sent once: the record of a process carries only the id. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} cgroups_seen __weak SEC(".maps");

#define CGROUP_PATH_LIMIT 4096
struct cgroup_scratch {
	struct path_walk walk;
	struct cgroup_path rec;
	__u8 tail[CGROUP_PATH_LIMIT + NAME_BYTES];
};

#ifdef NIGHTJAR_LEGACY
/* Sets out->cgroup_id, and sends the cgroup's path if this is the first time it is seen. `s` is the caller's own. */
static __always_inline void fill_cgroup_with(void *ctx, struct wire_header *hdr, struct wire_task *out,
					     struct task_struct *task, struct cgroup_scratch *s)
{
	struct kernfs_node *node = BPF_CORE_READ(task_cgroup(task), kn);
	__u64 id = kernfs_id(node);
	__u32 one = 1;
	__u64 lost;
	__u64 len; /* 64 bits: 5.10 does not carry bounds of 32-bit compares over */

	out->cgroup_id = id;
	RETURN_UNLESS(id);
	RETURN_UNLESS(!bpf_map_lookup_elem(&cgroups_seen, &id));
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
		bpf_map_update_elem(&cgroups_seen, &id, &one, BPF_ANY);
	hdr->incomplete |= lost * WIRE_MISSING_CGROUP;
	RETURNS;
}
#else
/* Sets out->cgroup_id. Returns the size of the record of the cgroup's path in `s`, to be sent before the event if this
 * is the first time that it is seen; else 0. */
static __always_inline __u64 make_cgroup_record(struct wire_header *hdr, struct wire_task *out,
						struct task_struct *task, struct cgroup_scratch *s)
{
	struct kernfs_node *node = BPF_CORE_READ(task_cgroup(task), kn);
	__u64 id = kernfs_id(node);
	__u64 len; /* 64 bits: 5.10 does not carry bounds of 32-bit compares over */

	out->cgroup_id = id;
	if (!id || bpf_map_lookup_elem(&cgroups_seen, &id))
		return 0;
	if (!s || !begin_record(&s->rec.hdr, WIRE_CGROUP))
		return 0;
	s->rec.hdr.time_ns = hdr->time_ns; /* that of the event: it must not be sorted behind it */
	s->rec.id = id;
	len = walk_kernfs(&s->walk, s->tail, CGROUP_PATH_LIMIT, node);
	opaque(len);
	if (!len || len > sizeof(s->tail)) {
		hdr->incomplete |= WIRE_MISSING_CGROUP;
		return 0;
	}
	s->rec.path.off = sizeof(s->rec);
	s->rec.path.len = len;
	return sizeof(s->rec) + len;
}

static __always_inline void send_cgroup_record(void *ctx, struct wire_header *hdr, struct cgroup_scratch *s, __u64 size)
{
	__u64 id;
	__u32 one = 1;

	opaque(size);
	if (!size || size > sizeof(s->rec) + sizeof(s->tail))
		return;
	id = s->rec.id;
	if (send_record(ctx, &lifecycle, &s->rec.hdr, size))
		bpf_map_update_elem(&cgroups_seen, &id, &one, BPF_ANY);
	else
		hdr->incomplete |= WIRE_MISSING_CGROUP;
}

/* Both. `s` is the caller's own. */
static __always_inline void fill_cgroup_with(void *ctx, struct wire_header *hdr, struct wire_task *out,
					     struct task_struct *task, struct cgroup_scratch *s)
{
	__u64 size = make_cgroup_record(hdr, out, task, s);

	if (s)
		send_cgroup_record(ctx, hdr, s, size);
}
#endif

/* The same with the calling program's own scratch. */
static __always_inline void fill_cgroup(void *ctx, struct wire_header *hdr, struct wire_task *out,
					struct task_struct *task, void *scratch_map, int copy)
{
	fill_cgroup_with(ctx, hdr, out, task, scratch_of(scratch_map, copy));
}
