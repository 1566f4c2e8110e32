/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records on their way out: the two buffers, sequence numbers, losses, wakeups.
 *
 * A record is built in the scratch of its own program and sent once, packed to size. A scratch belongs to one program
 * and one CPU. No second run of the same program comes between: kprobes, and tracepoints before 7.0, run with
 * preemption off; fentry programs, and tracepoints since 7.0, can be preempted, but the kernel then skips a second run
 * of the same program on the same CPU. Hence the stand-ins of turn.bpf.h. (Interrupts come between in any case; the one
 * program that tells what happens in them sees to that itself: state_changes(), tcp.bpf.h.)
 *
 * What families share is __weak: the linker keeps one. */
#pragma once
#include "read.bpf.h"
#include "wire/base.h"

#ifndef NIGHTJAR_LEGACY
/* BPF_MAP_TYPE_PERF_EVENT_ARRAY in place of the ring buffers when the agent says so, before load. */
const volatile __u32 use_ring __weak = 1;
/* Programs have stand-ins (Feature::preemptible_tracepoints): see turn.bpf.h. */
const volatile __u32 stand_ins __weak = 0;

/* Start of every sequence: boot time at load, so that no later sensor of this boot repeats an event id. */
const volatile __u64 sequence_base __weak = 0;
/* The reader is woken when this many bytes wait, even if it is not idle. */
const volatile __u64 wakeup_bytes __weak = 1 << 20;
#endif

/* fork, exec, exit and credentials have their own buffer: a storm of anything else cannot push them out. The sizes are
 * set by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} lifecycle __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} activity __weak SEC(".maps");

/* A counter for each kind on each possible CPU (the agent sets max_entries). Not a per-CPU array: the agent reads it
 * twice a second, and only an array can be mapped. */
MAPPED_ARRAY(counters, WIRE_KIND_END, struct wire_counter);

MAPPED_ARRAY(reader, 1, struct wire_reader);

#ifdef NIGHTJAR_LEGACY
#include "cgroup.bpf.h"
#include "fixes.bpf.h"
#else
#include "scalar_rules.bpf.h"
#include "limit.bpf.h"
#endif

/* A program and its stand-ins. */
#define COPIES 3

/* One buffer of `record` for each copy of a program on each possible CPU (the agent sets max_entries). Not a per-CPU
 * array: those are limited to 32 KiB a value. */
#define SCRATCH(name, record)                     \
	struct {                                  \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(max_entries, 1);           \
		__type(key, __u32);               \
		__type(value, record);            \
	} name SEC(".maps")
/* The same, of a header that several sources include. */
#define SHARED_SCRATCH(name, record) SCRATCH(name __weak, record)

static __always_inline __u32 scratch_row(int copy)
{
	return bpf_get_smp_processor_id() * COPIES + copy;
}

static __always_inline void *scratch_of(void *map, int copy)
{
	__u32 row = scratch_row(copy);

	return bpf_map_lookup_elem(map, &row);
}

static __always_inline struct wire_counter *counter_of(__u32 kind)
{
	__u32 row = bpf_get_smp_processor_id() * WIRE_KIND_END + kind;

	return bpf_map_lookup_elem(&counters, &row);
}

/* Fills the header and counts the record as happened. False: nothing can be sent (never, for a kind that exists). */
static __always_inline bool begin_unasked(struct wire_header *hdr, __u16 kind)
{
	struct wire_counter *counter = counter_of(kind);

	if (!counter)
		return false;
	hdr->time_ns = bpf_ktime_get_boot_ns();
	hdr->seq = sequence_base + counter->happened++;
	hdr->size = 0;
	hdr->kind = kind;
	hdr->cpu = bpf_get_smp_processor_id();
	hdr->incomplete = 0;
	hdr->is_self = 0;
	return true;
}

/* By a rule or the rate limit. */
static __always_inline bool held_back(__u16 kind, bool drop)
{
	struct wire_counter *counter = drop ? counter_of(kind) : NULL;

	if (counter)
		counter->suppressed++;
	return drop;
}

/* The same for what the current task does. False, too, when a rule drops it, or its process did too much of it. */
static __always_inline bool begin_record(struct wire_header *hdr, __u16 kind)
{
	return !held_back(kind, scalar_drop_current(kind)) && !held_back(kind, over_limit_current(kind)) &&
	       begin_unasked(hdr, kind);
}

static __always_inline struct wire_counter *note_loss(__u32 kind, __u64 now)
{
	struct wire_counter *counter = counter_of(kind);
	__u32 zero = 0;
	struct wire_reader *r = bpf_map_lookup_elem(&reader, &zero);

	if (!counter || !r)
		return NULL;
	if (!counter->lost || counter->epoch != r->epoch)
		counter->first_lost_ns = now;
	counter->epoch = r->epoch;
	counter->last_lost_ns = now;
	counter->lost++;
	return counter;
}

/* Global, as are the next: the verifier looks at it once a program, not at each place where something is sent. */
#ifdef NIGHTJAR_LEGACY
static __always_inline int count_loss(__u32 kind, __u64 now)
#else
__weak __noinline int count_loss(__u32 kind, __u64 now)
#endif
{
	note_loss(kind, now);
	return 0;
}

/* An event for which no scratch memory was free (scratch.bpf.h): it happened, and is lost. */
static __always_inline void count_unscratched(__u32 kind)
{
	struct wire_counter *counter = note_loss(kind, bpf_ktime_get_boot_ns());

	if (!counter)
		return;
	counter->happened++;
	counter->unscratched++;
}

/* Waking the reader costs more than everything else together (an interrupt and two context switches), so it is woken by
 * the first record after it went to sleep, and when much waits. In between it comes by itself every few milliseconds.
 * How much waits is not asked each time: what tells it lies in the cache of the reader's CPU. */
static __always_inline __u64 wakeup_flag(void *ring, __u64 until)
{
	__u32 zero = 0;
	struct wire_reader *r = bpf_map_lookup_elem(&reader, &zero);

	if (!use_ring)
		return 0;
	if (r && r->idle) {
		r->idle = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	if (!until && bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) >= wakeup_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

#ifndef NIGHTJAR_LEGACY
/* 0: much may wait by now. So it is with large records, and with every sixteenth of a kind on a CPU. Records are
 * smaller than 64 KiB, so no branch is needed. */
static __always_inline __u64 until_asked(__u64 size, __u64 seq)
{
	return (seq & 15) >> (size >> 10);
}

/* Two, so that a program needs no buffer but its own. */
__weak __noinline __u64 lifecycle_wakeup(__u64 until)
{
	return wakeup_flag(&lifecycle, until);
}
__weak __noinline __u64 activity_wakeup(__u64 until)
{
	return wakeup_flag(&activity, until);
}
#endif

/* Sends the record; `size` must be bounded by the caller. False, and counted, when the buffer is full. */
static __always_inline bool send_record(void *ctx, void *buffer, struct wire_header *hdr, __u64 size)
{
	long err;

	hdr->size = size;
#ifndef NIGHTJAR_LEGACY
	if (use_ring)
		err = bpf_ringbuf_output(buffer, hdr, size,
					 buffer == (void *)&lifecycle ? lifecycle_wakeup(until_asked(size, hdr->seq))
								      : activity_wakeup(until_asked(size, hdr->seq)));
	else
#endif
		err = bpf_perf_event_output(ctx, buffer, BPF_F_CURRENT_CPU, hdr, size);
	if (err) {
		count_loss(hdr->kind, hdr->time_ns);
		return false;
	}
	return true;
}
