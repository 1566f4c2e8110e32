/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Changes of the kernel itself. */
#pragma once
#include "wire/base.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

/* module_load, module_unload; the file of a load came before, in a WIRE_PATH_PART */
struct module_change {
	struct wire_header hdr;
	struct wire_task task;
	__u64 taints;
	char name[64];
};
WIRE_ASSERT(sizeof(struct module_change) == 224);

struct bpf_program_loaded {
	struct wire_header hdr;
	struct wire_task task;
	__u32 id; /* 0: not known */
	__u32 type;
	__u32 attach_type;
	__u32 pad0;
	char name[16];
	struct wire_slice function; /* text: what it is attached to, where that is said at load time */
};
WIRE_ASSERT(sizeof(struct bpf_program_loaded) == 192);

struct bpf_accessed {
	struct wire_header hdr;
	struct wire_task task;
	__u32 command; /* enum bpf_cmd */
	__u32 id; /* of the object, where the command takes one; else 0 */
	struct wire_slice path; /* text: the pin's, where the command takes one */
};
WIRE_ASSERT(sizeof(struct bpf_accessed) == 168);

enum wire_kexec_call { WIRE_KEXEC_LOAD_CALL = 0, WIRE_KEXEC_FILE_LOAD_CALL = 1 };

struct kexec_done {
	struct wire_header hdr;
	struct wire_task task;
	__u32 call; /* enum wire_kexec_call */
	__u32 pad0;
};
WIRE_ASSERT(sizeof(struct kexec_done) == 160);

struct sysctl_written {
	struct wire_header hdr;
	struct wire_task task;
	struct wire_slice path; /* components, leaf first */
	struct wire_slice value; /* text */
};
WIRE_ASSERT(sizeof(struct sysctl_written) == 168);

#pragma GCC diagnostic pop

#ifdef __cplusplus
#include "wire/names.hpp"

namespace nightjar::wire {
/// include/uapi/linux/bpf.h: those that bpf_access tells of.
inline constexpr NamedBit bpf_command_names[] = {
    {7, "obj_get"},           {8, "prog_attach"},  {9, "prog_detach"}, {13, "prog_get_fd_by_id"},
    {14, "map_get_fd_by_id"}, {29, "link_update"}, {30, "link_get_fd_by_id"},
    {34, "link_detach"},
};
inline constexpr NamedBit kexec_call_names[] = {
    {WIRE_KEXEC_LOAD_CALL, "kexec_load"},
    {WIRE_KEXEC_FILE_LOAD_CALL, "kexec_file_load"},
};
}  // namespace nightjar::wire

// clang-format off
WIRE_SCHEMA(module_change,
  INLINED(hdr), INLINED(task),
  FIELD(taints, "nightjar.module.taints", as::names(module_taint_names), "How the module taints the kernel."),
  FIELD(name, "nightjar.module.name", as::text, "Name of the module."));

WIRE_SCHEMA(bpf_program_loaded,
  INLINED(hdr), INLINED(task),
  FIELD(id, "nightjar.bpf.id", as::number.unless(0), "Id of the program, as bpftool shows it."),
  FIELD(type, "nightjar.bpf.type", as::name(bpf_program_type_names), "Type of the program."),
  FIELD(attach_type, "nightjar.bpf.attach_type", as::number, "Attach type that was expected, enum bpf_attach_type."),
  PADDING(pad0),
  FIELD(name, "nightjar.bpf.name", as::text, "Name of the program, at most 15 bytes."),
  FIELD(function, "nightjar.bpf.function", as::text, "The kernel function or tracepoint that it is for, where that is said at load time."));

WIRE_SCHEMA(bpf_accessed,
  INLINED(hdr), INLINED(task),
  FIELD(command, "nightjar.bpf.command", as::name(bpf_command_names), "The command of bpf(2)."),
  FIELD(id, "nightjar.bpf.object_id", as::number.unless(0), "Id of the program, map or link, as bpftool shows it."),
  FIELD(path, "nightjar.bpf.pin", as::text, "The pin's path, as the caller wrote it."));

WIRE_SCHEMA(kexec_done,
  INLINED(hdr), INLINED(task),
  FIELD(call, "nightjar.kexec.call", as::name(kexec_call_names), "The system call."),
  PADDING(pad0));

WIRE_SCHEMA(sysctl_written,
  INLINED(hdr), INLINED(task), HIDDEN(path), HIDDEN(value));
// clang-format on
#endif
