/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Signals that end or stop a process. */
#pragma once
#include "wire/memory.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

struct signal_sent {
	struct wire_header hdr;
	struct wire_task task; /* the sender */
	struct wire_target target;
	__u32 number;
	__u32 name; /* the same, shown as a name */
};
WIRE_ASSERT(sizeof(struct signal_sent) == 192);

#pragma GCC diagnostic pop

#ifdef __cplusplus
// clang-format off
WIRE_SCHEMA(signal_sent,
  INLINED(hdr), INLINED(task), INLINED(target),
  FIELD(number, "nightjar.signal.number", as::number, "Number of the signal."),
  FIELD(name, "nightjar.signal.name", as::signal_name, "Name of the signal."));
// clang-format on
#endif
