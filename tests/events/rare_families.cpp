// SPDX-License-Identifier: Apache-2.0
// The families memory, privilege, kernel and signal: each call that worked, once, with what the caller knows of it.
// Seed inventory: F20 and L10 (memfd), L1 (real, effective and saved ids), L29 (targets in the root pid namespace, no
// event for what failed), L30 (ptrace requests, /proc/PID/mem), and what D.2 misses.
#include <cstdlib>

#include "told.hpp"

namespace nightjar::test {
namespace {

struct Case {
  const char* mode;
  const char* families;  ///< asked for: what is not need not be loaded
  Strings actions;
  bool in_guests_only = false;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.mode;
}

class RareFamilies : public testing::TestWithParam<Case> {};
TEST_P(RareFamilies, tell_each_call_that_worked) {
  if (GetParam().in_guests_only && !has_machine_alone())
    GTEST_SKIP() << "NIGHTJAR_TEST_WHOLE_MACHINE is not 1: this changes the kernel that other people use";
  const auto watched =
      watch("rare_calls", {"@LOG", "@DIR", GetParam().mode}, {.options = {"--events", GetParam().families}});
  SKIP_IF_TOLD(watched);
  EXPECT_FALSE(watched.truths("told").empty());
  for (const auto& action : GetParam().actions) expect_told(watched, {action});
}
INSTANTIATE_TEST_SUITE_P(Of, RareFamilies,
                         testing::Values(Case{"ptrace", "process,memory,signal", {"ptrace", "kill"}},
                                         Case{"vm_write", "process,memory,signal", {"process_vm_write", "kill"}},
                                         Case{"proc_mem", "process,memory", {"proc_mem_write"}},
                                         Case{"memfd", "process,memory", {"memfd_create"}},
                                         Case{"exec_memory", "process,memory", {"mmap_exec", "mprotect_exec"}},
                                         Case{"credentials", "process,privilege", {"set_credentials"}},
                                         Case{"setuid_exec", "process,privilege", {"set_credentials"}},
                                         Case{"capset", "process,privilege", {"set_credentials", "capability_set"}},
                                         Case{"login", "process,privilege", {"login_uid_set"}},
                                         Case{"kill", "process,signal", {"kill"}},
                                         Case{"bpf", "process,kernel", {"bpf_program_load"}},
                                         Case{"bpf_access", "process,kernel", {"bpf_access"}},
                                         Case{"bpf_change", "process,kernel", {"bpf_access"}},
                                         Case{"sysctl", "process,kernel", {"sysctl_write"}},
                                         Case{"kexec", "process,kernel", {"kexec_load"}, true},
                                         Case{"module", "process,kernel", {"module_load", "module_unload"}, true}),
                         [](const auto& one) { return std::string(one.param.mode); });

}  // namespace
}  // namespace nightjar::test
