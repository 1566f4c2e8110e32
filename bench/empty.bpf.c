/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs that do nothing, on the hooks of the tracepoint tier: the least that any sensor there can cost. */
#include <linux/bpf.h>
/* The next wants its types. */
#include <bpf/bpf_helpers.h>

#define EMPTY(section, name) \
  SEC(section)               \
  int name(void* ctx) {      \
    return 0;                \
  }

EMPTY("tp_btf/task_newtask", fork_empty)
EMPTY("tp_btf/sched_process_exec", exec_empty)
EMPTY("tp_btf/sched_process_exit", exit_empty)
EMPTY("tp_btf/inet_sock_set_state", state_empty)
EMPTY("tp_btf/sys_enter", enter_empty)
EMPTY("tp_btf/sys_exit", leave_empty)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
