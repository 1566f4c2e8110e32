/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading kernel structures: one body serves every tier.
 *
 * KREAD(p, a, b): the value of p->a->b. Where the program got `p` from BTF-typed hooks (tp_btf, fentry; `direct` true)
 * these are plain loads, which the kernel's exception table makes safe; elsewhere each step is a bpf_probe_read_kernel
 * call (about 15 ns). `direct` is a constant in every caller, so only one of the two is compiled in. */
#pragma once
#include "kernel.bpf.h"
#include <bpf/bpf_helpers.h>
#ifdef NIGHTJAR_LEGACY
#include "legacy.bpf.h"
#endif
#include <bpf/bpf_core_read.h>

#define ARROW_1(p, a) (p)->a
#define ARROW_2(p, a, b) (p)->a->b
#define ARROW_3(p, a, b, c) (p)->a->b->c
#define ARROW_4(p, a, b, c, d) (p)->a->b->c->d
#define ARROW_N(_1, _2, _3, _4, N, ...) ARROW_##N
#define ARROW(p, ...) ARROW_N(__VA_ARGS__, 4, 3, 2, 1)(p, __VA_ARGS__)

#define KREAD(p, ...) (direct ? ARROW(p, __VA_ARGS__) : BPF_CORE_READ(p, __VA_ARGS__))

/* An array that user space has in its own memory, and reads without bpf(2) (include/nightjar/mapped_array.hpp says what
 * that would cost). */
#define MAPPED_ARRAY(name, rows, row)              \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(map_flags, BPF_F_MMAPABLE); \
		__uint(max_entries, rows);         \
		__type(key, __u32);                \
		__type(value, row);                \
	} name __weak SEC(".maps")

/* A GLOBAL function takes numbers and is verified once a program, whatever its callers know; the legacy tier has no
 * calls. In the legacy tier loops have no backward jump. There STOP_UNLESS is a jump that the compiler does not see
 * through: it would lay the end of a loop before its later rounds. */
#ifdef NIGHTJAR_LEGACY
#define GLOBAL static __always_inline
#define UNROLLED _Pragma("clang loop unroll(full)")
#define STOP_UNLESS(condition)                                                                 \
	do {                                                                                   \
		__u64 go_ = (condition) ? 1 : 0;                                               \
		asm volatile goto("if %0 == 0 goto %l[loop_over]" : : "r"(go_) : : loop_over); \
	} while (0)
#define LOOP_END \
	loop_over:
/* The same at the beginning of a function. */
#define RETURN_UNLESS(condition) STOP_UNLESS(condition)
#define RETURNS LOOP_END return
#else
#define GLOBAL __weak __noinline
#define UNROLLED
#define STOP_UNLESS(condition) \
	if (!(condition))      \
	break
#define LOOP_END
#define RETURN_UNLESS(condition) \
	if (!(condition))        \
	return
#define RETURNS
#endif

/* Keeps the compiler from proving things about a number in a register that the verifier then cannot see. */
#define opaque(x) asm volatile("" : "+r"(x))
