/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading kernel structures: one body serves every tier.
 *
 * READ(p, a, b): the value of p->a->b. READ_AT(type, address): the `type` of 1, 2, 4 or 8 bytes that lies there. What
 * cannot be read is 0. Each step is a call of bpf_probe_read_kernel, 40 ns on a machine where a system call takes 300.
 * Since Linux kernel commit a35b9af4ec2c ("bpf: Add a kfunc for generic type cast") (in v6.2) a program can say of any
 * address what type lies there, and may then load it, a nanosecond; what the kernel's exception table catches is 0. The
 * agent rewrites the steps for such kernels (src/agent/plain_loads.hpp): with a branch at each step, the kernel would
 * spend as much on taking the dead ways out of the programs as it takes for everything else at a load.
 *
 * KREAD(p, a, b): the same where the program got `p` from BTF-typed hooks (tp_btf, fentry; `direct` true), which allow
 * plain loads since 5.5. `direct` is a constant in every caller, so only one of the two is compiled in. */
#pragma once
#include "kernel.bpf.h"
#include "wire/base.h"
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

#ifdef NIGHTJAR_LEGACY
#define plain_loads 0
#define READ(p, ...) BPF_CORE_READ(p, __VA_ARGS__)
#define READ_AT(type, address)                                                           \
	({                                                                               \
		type there_ = 0;                                                         \
		bpf_probe_read_kernel(&there_, sizeof(there_), (const void *)(address)); \
		there_;                                                                  \
	})
#else
/* The agent has rewritten the steps. */
const volatile __u32 plain_loads __weak = 0;

/* bpf_probe_read_kernel(&slot_, bytes, address_), and the load of what it wrote, in a shape that the agent knows. The
 * first instruction does nothing: it is the mark. */
#define READ_STEP(bytes, bits, constraint)                                                                     \
	asm volatile("r2 = %[mark]\n\t"                                                                        \
		     "r2 = " #bytes "\n\t"                                                                     \
		     "call %[helper]\n\t"                                                                      \
		     "%[value] = *(u" #bits " *)%[slot]"                                                       \
		     : [value] constraint(value_), "+r"(to_), "+r"(from_)                                      \
		     : [slot] "m"(slot_), [mark] "i"(WIRE_READ_STEP), [helper] "i"(BPF_FUNC_probe_read_kernel) \
		     : "r0", "r2", "r4", "r5")
#define READ_AT(type, address)                                                              \
	({                                                                                  \
		_Static_assert(sizeof(type) == 8 || sizeof(type) == 4 || sizeof(type) <= 2, \
			       "no number and no pointer");                                 \
		__u64 slot_, raw_;                                                          \
		register void *to_ asm("r1") = &slot_;                                      \
		register const void *from_ asm("r3") = (const void *)(address);             \
		if (sizeof(type) == 8) {                                                    \
			__u64 value_;                                                       \
			READ_STEP(8, 64, "=r");                                             \
			raw_ = value_;                                                      \
		} else {                                                                    \
			__u32 value_;                                                       \
			if (sizeof(type) == 4)                                              \
				READ_STEP(4, 32, "=w");                                     \
			else if (sizeof(type) == 2)                                         \
				READ_STEP(2, 16, "=w");                                     \
			else                                                                \
				READ_STEP(1, 8, "=w");                                      \
			raw_ = value_;                                                      \
		}                                                                           \
		(type) raw_;                                                                \
	})
#define READ_1(p, a) READ_AT(typeof((p)->a), &(p)->a)
#define READ_2(p, a, b) READ_1(READ_1(p, a), b)
#define READ_3(p, a, b, c) READ_1(READ_2(p, a, b), c)
#define READ_4(p, a, b, c, d) READ_1(READ_3(p, a, b, c), d)
#define READ_N(_1, _2, _3, _4, N, ...) READ_##N
#define READ(p, ...) READ_N(__VA_ARGS__, 4, 3, 2, 1)(p, __VA_ARGS__)
#endif

#define KREAD(p, ...) (direct ? ARROW(p, __VA_ARGS__) : READ(p, __VA_ARGS__))

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
