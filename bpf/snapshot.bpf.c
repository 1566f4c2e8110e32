/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The processes that are there when the sensor starts: an iterator over tasks, read once. It gives what only the kernel
 * knows (exact start times, so that entity ids agree with later events); user space adds argv and environment from
 * procfs, since an iterator cannot read another process's memory before 5.18. */
#include "exec.bpf.h"

/* The cgroup's path goes before, in a record of its own: here every time, the reader keeps one. */
static __always_inline void write_cgroup(struct seq_file *seq, struct task_struct *task, struct wire_task *out)
{
	struct kernfs_node *node = READ(task_cgroup(task), kn);
	struct cgroup_row *s;
	__u32 record;
	__u64 size;

	out->cgroup_id = kernfs_id(node);
	if (!out->cgroup_id)
		return;
	record = make_cgroup_record((__u64)node, 0, false);
	if (!record || record == CGROUP_UNKNOWN)
		return;
	s = cgroup_row_at(CGROUP_RECORD_ROW(record));
	size = CGROUP_RECORD_SIZE(record);
	opaque(size);
	if (!s)
		return;
	if (size <= sizeof(s->rec) + sizeof(s->tail))
		bpf_seq_write(seq, &s->rec, size);
	give_cgroup_row(s);
}

SEC("iter/task")
int process_snapshot__iter(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	__u32 row = image_row_of(IMAGE_OF_SNAPSHOT, 0);
	struct image_row *s = image_at(row);
	struct process_exec *rec;
	bool self;
	__u64 at;

	if (!task || READ(task, pid) != READ(task, tgid) || !READ(task, mm) || (READ(task, flags) & PF_KTHREAD))
		return 0;
	/* The reader of the iterator is the agent: it learns who it is, whatever the scope. */
	self = READ(task, tgid) == (int)(bpf_get_current_pid_tgid() >> 32);
	if (!self && !in_scope(task, false))
		return 0;
	if (!s)
		return 0;
	rec = &s->rec;
	__builtin_memset(&rec->hdr, 0, sizeof(rec->hdr));
	rec->hdr.kind = WIRE_PROCESS_SNAPSHOT;
	rec->hdr.time_ns = bpf_ktime_get_boot_ns();
	rec->hdr.seq = rec->hdr.time_ns; /* no two have the same: one reader, one after the other */
	rec->hdr.is_self = self;
	fill_task(&rec->task, task, false);
	write_cgroup(seq, task, &rec->task);
	at = fill_image(s, task, row);
	opaque(at);
	if (at > CWD_END)
		return 0;
	rec->hdr.size = sizeof(*rec) + at;
	bpf_seq_write(seq, rec, sizeof(*rec) + at);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
