// SPDX-License-Identifier: Apache-2.0
#include "agent/harden.hpp"

#include <array>
#include <cstdint>
#include <memory>

#include <seccomp.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

namespace nightjar {
namespace {

constexpr unsigned cap_perfmon = 38;  // older headers lack these two
constexpr unsigned cap_bpf = 39;
constexpr unsigned last_capability = 63;

/// Maps are read on through their descriptors, which kernels before 6.4 allow with CAP_BPF only where
/// kernel.unprivileged_bpf_disabled is set; files of other users are hashed, links in /proc read.
std::uint64_t needed_capabilities(const Hardening& hardening) {
  const bool has_cap_bpf = prctl(PR_CAPBSET_READ, cap_bpf, 0, 0, 0) >= 0;
  std::uint64_t needed = 1ULL << CAP_DAC_READ_SEARCH | 1ULL << CAP_SYS_PTRACE;
  needed |= has_cap_bpf ? 1ULL << cap_bpf | 1ULL << cap_perfmon : 1ULL << CAP_SYS_ADMIN;
  if (hardening.signals_others) needed |= 1ULL << CAP_KILL;
  if (hardening.perf_buffers) needed |= 1ULL << CAP_IPC_LOCK;  // they are larger than what a user may lock
  return needed;
}

Result<> drop_capabilities(std::uint64_t needed) {
  for (unsigned capability = 0; capability <= last_capability; ++capability) {
    // Without CAP_SETPCAP the bounding set stays; no_new_privs already makes it meaningless.
    if ((needed >> capability & 1) == 0 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) break;
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return Error::from_errno("capget");
  for (unsigned half = 0; half < data.size(); ++half) {
    const auto mask = static_cast<std::uint32_t>(needed >> (32 * half));
    data.at(half).permitted &= mask;
    data.at(half).effective &= mask;
    data.at(half).inheritable = 0;
  }
  if (syscall(SYS_capset, &header, data.data()) != 0) return Error::from_errno("cannot drop capabilities");
  return {};
}

// What a sensor that is running never does. Everything else is allowed: the outputs' libraries do as they need.
constexpr int refused_calls[] = {
    SCMP_SYS(execve),        SCMP_SYS(execveat),
    SCMP_SYS(ptrace),        SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),         SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),    SCMP_SYS(chroot),
    SCMP_SYS(move_mount),    SCMP_SYS(open_tree),
    SCMP_SYS(fsmount),       SCMP_SYS(setns),
    SCMP_SYS(unshare),       SCMP_SYS(init_module),
    SCMP_SYS(finit_module),  SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),        SCMP_SYS(swapon),
    SCMP_SYS(swapoff),       SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname), SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime), SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime), SCMP_SYS(keyctl),
    SCMP_SYS(add_key),       SCMP_SYS(request_key),
    SCMP_SYS(userfaultfd),   SCMP_SYS(setuid),
    SCMP_SYS(setgid),        SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),     SCMP_SYS(mknod),
    SCMP_SYS(mknodat),       SCMP_SYS(acct),
    SCMP_SYS(quotactl),
};
// Nothing new comes into the kernel.
constexpr int refused_bpf[] = {BPF_MAP_CREATE,          BPF_PROG_LOAD, BPF_PROG_ATTACH,
                               BPF_RAW_TRACEPOINT_OPEN, BPF_BTF_LOAD,  BPF_LINK_CREATE};

Result<> install_filter(const Hardening& hardening) {
  using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;
  const Filter filter(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
  if (!filter) return Error(errc::system, "seccomp: no memory");
  const std::uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
  int failed = 0;
  const auto check = [&](int result) { failed = failed != 0 ? failed : result; };
  // By number of calls the filter grows too long to be walked for each write(2): a tree of it.
  (void)seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  // libseccomp's interface is variadic. NOLINTBEGIN(cppcoreguidelines-pro-type-vararg)
  for (const int call : refused_calls) {
    // Negative: this architecture has no such call.
    if (call >= 0) check(seccomp_rule_add(filter.get(), refuse, call, 0));
  }
  if (!hardening.perf_buffers) check(seccomp_rule_add(filter.get(), refuse, SCMP_SYS(perf_event_open), 0));
  for (const int command : refused_bpf)
    check(seccomp_rule_add(filter.get(), refuse, SCMP_SYS(bpf), 1,
                           SCMP_A0_32(SCMP_CMP_EQ, static_cast<scmp_datum_t>(command))));
  if (!hardening.network) {
    for (const int family : {AF_INET, AF_INET6, AF_NETLINK, AF_PACKET})
      check(seccomp_rule_add(filter.get(), refuse, SCMP_SYS(socket), 1,
                             SCMP_A0_32(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family))));
  }
  // NOLINTEND(cppcoreguidelines-pro-type-vararg)
  if (failed == 0) failed = seccomp_load(filter.get());
  if (failed != 0) return Error::from_errno("seccomp", -failed);
  return {};
}

}  // namespace

Result<> drop_privileges(const Hardening& hardening) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Error::from_errno("no_new_privs");
  NIGHTJAR_CHECK(install_filter(hardening));
  return drop_capabilities(needed_capabilities(hardening));
}

}  // namespace nightjar
