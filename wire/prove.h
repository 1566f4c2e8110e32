/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between the proof of a layout (src/atlas/witness.cpp) and its program (bpf/prove.bpf.c). */
#pragma once
#include <linux/types.h>

#define PROVE_HOPS 10
#define PROVE_BYTES 192
/* A fact, and each of its members moved four ways: some thousand for all of them. */
#define PROVE_REQUESTS 4096

enum prove_status {
	PROVE_NOTHING,
	PROVE_ASKED,
	PROVE_READ,
	PROVE_LOST, /* a step led to what is no address */
};

struct prove_request {
	__u32 status;
	__u32 hops;
	__s64 offset[PROVE_HOPS]; /* each is added, and a pointer read there */
	__s64 last; /* the bytes are read here */
	__u8 bytes[PROVE_BYTES];
};

/* Where chains begin: at the thread, or at what it executes. An exec renames the thread, too. */
enum prove_start { PROVE_THREAD, PROVE_EXEC };

struct prove_turn {
	__u32 thread;
	__u32 next;
	__u32 start;
};
