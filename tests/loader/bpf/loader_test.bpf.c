/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs for the loader's tests. All of them look at one process only, the test itself (only_tgid), and most wait for
 * task_rename, which prctl(PR_SET_NAME) fires: rare, and under the test's control.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";
__u32 KERNEL_VERSION SEC("version") = 0xfffffffe;

struct task_struct {
	int pid;
	int tgid;
} __attribute__((preserve_access_index));

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

struct record {
	__u64 number;
	__u64 bytes[7];
};

const volatile __u32 only_tgid = 0xffffffff;
const volatile __u64 wide_constant = 7;
const volatile __u32 burst = 1;
const volatile _Bool through_perf = 0;

__u64 last_number;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 2);
} counters_per_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} deep SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} rarely_used SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} jumps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1000);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, 8);
	__uint(value_size, 4);
	__uint(max_entries, 16);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u32); /* 8 bytes apart all the same */
} mapped SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(value_size, 8);
	__uint(max_entries, 3);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(value_size, 8);
	__uint(max_entries, 3);
} stack SEC(".maps");

static __always_inline int is_ours(void)
{
	return (bpf_get_current_pid_tgid() >> 32) == only_tgid;
}

static __always_inline void count(__u32 key)
{
	__u64 one = 1;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	else
		bpf_map_update_elem(&counters, &key, &one, BPF_ANY);
}

/* In .text, called by two programs: its map is theirs. */
static __noinline __u64 touch_deep(__u32 key)
{
	__u64 *value = bpf_map_lookup_elem(&deep, &key);

	if (!value)
		return 0;
	*value += wide_constant;
	return *value;
}

SEC("raw_tp/task_rename")
int on_rename_raw(void *ctx)
{
	__u32 zero = 0;
	__u64 *value;

	if (!is_ours())
		return 0;
	count(1);
	value = bpf_map_lookup_elem(&counters_per_cpu, &zero);
	if (value)
		*value += 1;
	return 0;
}

SEC("tp_btf/task_rename")
int BPF_PROG(on_rename_btf, struct task_struct *task)
{
	if (!is_ours() || (__u32)task->tgid != only_tgid)
		return 0;
	count(2);
	return 0;
}

SEC("tracepoint/task/task_rename")
int on_rename_tracepoint(void *ctx)
{
	if (is_ours())
		count(3);
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(on_fentry)
{
	if (is_ours())
		count(4);
	return 0;
}

SEC("kprobe")
int on_getppid(void *ctx)
{
	if (is_ours())
		count(5);
	return 0;
}

SEC("kretprobe")
int on_getppid_return(void *ctx)
{
	if (is_ours())
		count(6);
	return 0;
}

SEC("raw_tp/task_rename")
int uses_deep(void *ctx)
{
	if (is_ours())
		touch_deep(0);
	return 0;
}

SEC("raw_tp/task_rename")
int uses_deep_too(void *ctx)
{
	if (is_ours())
		touch_deep(0);
	return 0;
}

SEC("raw_tp/task_rename")
int uses_rarely_used(void *ctx)
{
	__u32 zero = 0;
	__u64 *value = is_ours() ? bpf_map_lookup_elem(&rarely_used, &zero) : 0;

	if (value)
		*value += 1;
	return 0;
}

SEC("raw_tp/no_such_tracepoint")
int on_missing_raw(void *ctx)
{
	return 0;
}

SEC("tp_btf/no_such_tracepoint")
int BPF_PROG(on_missing_btf)
{
	return 0;
}

/* The verifier must refuse this: the value may be null. */
SEC("raw_tp/task_rename")
int refused(void *ctx)
{
	__u32 zero = 0;
	__u64 *value = bpf_map_lookup_elem(&counters, &zero);

	return (int)*value;
}

SEC("raw_tp/task_rename")
int send_burst(void *ctx)
{
	struct record record = {};
	__u32 i;

	if (!is_ours())
		return 0;
	for (i = 0; i < burst && i < 4096; i++) {
		record.number = ++last_number;
		if (through_perf)
			bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &record, sizeof(record));
		else
			bpf_ringbuf_output(&events, &record, sizeof(record), 0);
	}
	return 0;
}

SEC("iter/task")
int dump_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct {
		__u32 pid, tgid;
	} out;

	if (!task || (__u32)task->tgid != only_tgid)
		return 0;
	out.pid = (__u32)task->pid;
	out.tgid = (__u32)task->tgid;
	bpf_seq_write(ctx->meta->seq, &out, sizeof(out));
	return 0;
}

/* Never loaded: only for the blueprint's tests. */
SEC("?lsm.s/bprm_committed_creds")
int BPF_PROG(on_committed_creds)
{
	return 0;
}

SEC("ksyscall/getppid")
int on_getppid_by_section(void *ctx)
{
	if (is_ours())
		count(7);
	return 0;
}

SEC("uprobe")
int on_user_function(void *ctx)
{
	if (is_ours())
		count(8);
	return 0;
}

SEC("uretprobe")
int on_user_function_return(void *ctx)
{
	if (is_ours())
		count(9);
	return 0;
}

SEC("usdt")
int on_user_statically_defined(struct pt_regs *ctx)
{
	long argument = 0;

	bpf_usdt_arg(ctx, 0, &argument);
	if (is_ours() && argument == 42)
		count(10);
	return 0;
}

SEC("fexit/bpf_fentry_test1")
int BPF_PROG(on_fexit)
{
	if (is_ours())
		count(11);
	return 0;
}

SEC("fmod_ret/security_task_getpgid")
int BPF_PROG(on_modify_return)
{
	return 0;
}

SEC("lsm/task_getpgid")
int BPF_PROG(on_lsm, struct task_struct *task)
{
	if (is_ours())
		count(12);
	return 0;
}

SEC("cgroup/sock_create")
int on_socket_in_cgroup(void *ctx)
{
	count(13);
	return 1;
}

/* A socket filter: what it answers is how many bytes may pass. */
SEC("socket")
int drops_all(struct __sk_buff *ctx)
{
	count(14);
	return 0;
}

SEC("raw_tp/task_rename")
int jumps_on_rename(void *ctx)
{
	if (is_ours()) {
		bpf_tail_call(ctx, &jumps, 2);
		count(16); /* the slot is empty */
	}
	return 0;
}

SEC("raw_tp")
int jumped_to(void *ctx)
{
	count(15);
	return 0;
}

/* Keeps the maps that only user space works with. */
SEC("raw_tp/task_rename")
int uses_every_kind(void *ctx)
{
	__u64 value = 0;
	__u32 key[2] = {};

	if (!is_ours())
		return 0;
	bpf_map_peek_elem(&queue, &value);
	bpf_map_peek_elem(&stack, &value);
	bpf_map_lookup_elem(&recent, &key);
	bpf_map_lookup_elem(&prefixes, &key);
	key[0] = 2;
	__u32 *times = bpf_map_lookup_elem(&mapped, &key);
	if (times)
		++*times;
	return 0;
}

SEC("xdp")
int not_attached_by_us(void *ctx)
{
	return 0;
}
