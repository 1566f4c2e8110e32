// SPDX-License-Identifier: Apache-2.0
// Names of the kernel's values, one table each. Values are ABI (include/uapi/linux), so they are written as numbers:
// older headers lack the newer names.
#pragma once

#include "wire/describe.hpp"

namespace nightjar::wire {

// include/uapi/linux/sched.h
inline constexpr NamedBit clone_flag_names[] = {
    {0x00000080, "CLONE_NEWTIME"},
    {0x00000100, "CLONE_VM"},
    {0x00000200, "CLONE_FS"},
    {0x00000400, "CLONE_FILES"},
    {0x00000800, "CLONE_SIGHAND"},
    {0x00001000, "CLONE_PIDFD"},
    {0x00002000, "CLONE_PTRACE"},
    {0x00004000, "CLONE_VFORK"},
    {0x00008000, "CLONE_PARENT"},
    {0x00010000, "CLONE_THREAD"},
    {0x00020000, "CLONE_NEWNS"},
    {0x00040000, "CLONE_SYSVSEM"},
    {0x00080000, "CLONE_SETTLS"},
    {0x00100000, "CLONE_PARENT_SETTID"},
    {0x00200000, "CLONE_CHILD_CLEARTID"},
    {0x00400000, "CLONE_DETACHED"},
    {0x00800000, "CLONE_UNTRACED"},
    {0x01000000, "CLONE_CHILD_SETTID"},
    {0x02000000, "CLONE_NEWCGROUP"},
    {0x04000000, "CLONE_NEWUTS"},
    {0x08000000, "CLONE_NEWIPC"},
    {0x10000000, "CLONE_NEWUSER"},
    {0x20000000, "CLONE_NEWPID"},
    {0x40000000, "CLONE_NEWNET"},
    {0x80000000, "CLONE_IO"},
    {0x100000000, "CLONE_CLEAR_SIGHAND"},
    {0x200000000, "CLONE_INTO_CGROUP"},
};

/// The flags of clone(2) that make new namespaces.
inline constexpr std::uint64_t clone_new_namespaces = 0x7e020080;

// include/uapi/linux/mount.h: mount(2)
inline constexpr NamedBit mount_flag_names[] = {
    {1ULL << 0, "MS_RDONLY"},     {1ULL << 1, "MS_NOSUID"},      {1ULL << 2, "MS_NODEV"},
    {1ULL << 3, "MS_NOEXEC"},     {1ULL << 4, "MS_SYNCHRONOUS"}, {1ULL << 5, "MS_REMOUNT"},
    {1ULL << 6, "MS_MANDLOCK"},   {1ULL << 7, "MS_DIRSYNC"},     {1ULL << 8, "MS_NOSYMFOLLOW"},
    {1ULL << 10, "MS_NOATIME"},   {1ULL << 11, "MS_NODIRATIME"}, {1ULL << 12, "MS_BIND"},
    {1ULL << 13, "MS_MOVE"},      {1ULL << 14, "MS_REC"},        {1ULL << 15, "MS_SILENT"},
    {1ULL << 16, "MS_POSIXACL"},  {1ULL << 17, "MS_UNBINDABLE"}, {1ULL << 18, "MS_PRIVATE"},
    {1ULL << 19, "MS_SLAVE"},     {1ULL << 20, "MS_SHARED"},     {1ULL << 21, "MS_RELATIME"},
    {1ULL << 22, "MS_KERNMOUNT"}, {1ULL << 23, "MS_I_VERSION"},  {1ULL << 24, "MS_STRICTATIME"},
    {1ULL << 25, "MS_LAZYTIME"},
};

// include/linux/fs.h: umount2(2)
inline constexpr NamedBit umount_flag_names[] = {
    {1, "MNT_FORCE"},
    {2, "MNT_DETACH"},
    {4, "MNT_EXPIRE"},
    {8, "UMOUNT_NOFOLLOW"},
};

// include/uapi/linux/mount.h: move_mount(2)
inline constexpr NamedBit move_mount_flag_names[] = {
    {0x00000001, "MOVE_MOUNT_F_SYMLINKS"},   {0x00000002, "MOVE_MOUNT_F_AUTOMOUNTS"},
    {0x00000004, "MOVE_MOUNT_F_EMPTY_PATH"}, {0x00000010, "MOVE_MOUNT_T_SYMLINKS"},
    {0x00000020, "MOVE_MOUNT_T_AUTOMOUNTS"}, {0x00000040, "MOVE_MOUNT_T_EMPTY_PATH"},
    {0x00000100, "MOVE_MOUNT_SET_GROUP"},    {0x00000200, "MOVE_MOUNT_BENEATH"},
};

// include/uapi/linux/ptrace.h and arch/x86/include/uapi/asm/ptrace-abi.h
inline constexpr NamedBit ptrace_request_names[] = {
    {0, "PTRACE_TRACEME"},
    {1, "PTRACE_PEEKTEXT"},
    {2, "PTRACE_PEEKDATA"},
    {3, "PTRACE_PEEKUSR"},
    {4, "PTRACE_POKETEXT"},
    {5, "PTRACE_POKEDATA"},
    {6, "PTRACE_POKEUSR"},
    {7, "PTRACE_CONT"},
    {8, "PTRACE_KILL"},
    {9, "PTRACE_SINGLESTEP"},
    {12, "PTRACE_GETREGS"},
    {13, "PTRACE_SETREGS"},
    {14, "PTRACE_GETFPREGS"},
    {15, "PTRACE_SETFPREGS"},
    {16, "PTRACE_ATTACH"},
    {17, "PTRACE_DETACH"},
    {18, "PTRACE_GETFPXREGS"},
    {19, "PTRACE_SETFPXREGS"},
    {21, "PTRACE_OLDSETOPTIONS"},
    {24, "PTRACE_SYSCALL"},
    {25, "PTRACE_GET_THREAD_AREA"},
    {26, "PTRACE_SET_THREAD_AREA"},
    {30, "PTRACE_ARCH_PRCTL"},
    {31, "PTRACE_SYSEMU"},
    {32, "PTRACE_SYSEMU_SINGLESTEP"},
    {33, "PTRACE_SINGLEBLOCK"},
    {0x4200, "PTRACE_SETOPTIONS"},
    {0x4201, "PTRACE_GETEVENTMSG"},
    {0x4202, "PTRACE_GETSIGINFO"},
    {0x4203, "PTRACE_SETSIGINFO"},
    {0x4204, "PTRACE_GETREGSET"},
    {0x4205, "PTRACE_SETREGSET"},
    {0x4206, "PTRACE_SEIZE"},
    {0x4207, "PTRACE_INTERRUPT"},
    {0x4208, "PTRACE_LISTEN"},
    {0x4209, "PTRACE_PEEKSIGINFO"},
    {0x420a, "PTRACE_GETSIGMASK"},
    {0x420b, "PTRACE_SETSIGMASK"},
    {0x420c, "PTRACE_SECCOMP_GET_FILTER"},
    {0x420d, "PTRACE_SECCOMP_GET_METADATA"},
    {0x420e, "PTRACE_GET_SYSCALL_INFO"},
    {0x420f, "PTRACE_GET_RSEQ_CONFIGURATION"},
    {0x4210, "PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG"},
    {0x4211, "PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG"},
    {0x4212, "PTRACE_SET_SYSCALL_INFO"},
};

// include/uapi/asm-generic/mman-common.h
inline constexpr NamedBit protection_names[] = {
    {1, "PROT_READ"},
    {2, "PROT_WRITE"},
    {4, "PROT_EXEC"},
    {8, "PROT_SEM"},
    {0x01000000, "PROT_GROWSDOWN"},
    {0x02000000, "PROT_GROWSUP"},
};

inline constexpr NamedBit map_flag_names[] = {
    {0x01, "MAP_SHARED"},   {0x02, "MAP_PRIVATE"},     {0x10, "MAP_FIXED"},      {0x20, "MAP_ANONYMOUS"},
    {0x40, "MAP_32BIT"},    {0x100, "MAP_GROWSDOWN"},  {0x800, "MAP_DENYWRITE"}, {0x1000, "MAP_EXECUTABLE"},
    {0x2000, "MAP_LOCKED"}, {0x4000, "MAP_NORESERVE"}, {0x8000, "MAP_POPULATE"}, {0x10000, "MAP_NONBLOCK"},
    {0x20000, "MAP_STACK"}, {0x40000, "MAP_HUGETLB"},  {0x80000, "MAP_SYNC"},    {0x100000, "MAP_FIXED_NOREPLACE"},
};

// include/linux/panic.h: those that a module can have
inline constexpr NamedBit module_taint_names[] = {
    {1ULL << 0, "proprietary"}, {1ULL << 1, "forced"},     {1ULL << 10, "staging"},   {1ULL << 12, "out_of_tree"},
    {1ULL << 13, "unsigned"},   {1ULL << 15, "livepatch"}, {1ULL << 16, "auxiliary"}, {1ULL << 18, "test"},
};

// include/uapi/linux/bpf.h, enum bpf_prog_type
inline constexpr NamedBit bpf_program_type_names[] = {
    {0, "unspec"},
    {1, "socket_filter"},
    {2, "kprobe"},
    {3, "sched_cls"},
    {4, "sched_act"},
    {5, "tracepoint"},
    {6, "xdp"},
    {7, "perf_event"},
    {8, "cgroup_skb"},
    {9, "cgroup_sock"},
    {10, "lwt_in"},
    {11, "lwt_out"},
    {12, "lwt_xmit"},
    {13, "sock_ops"},
    {14, "sk_skb"},
    {15, "cgroup_device"},
    {16, "sk_msg"},
    {17, "raw_tracepoint"},
    {18, "cgroup_sock_addr"},
    {19, "lwt_seg6local"},
    {20, "lirc_mode2"},
    {21, "sk_reuseport"},
    {22, "flow_dissector"},
    {23, "cgroup_sysctl"},
    {24, "raw_tracepoint_writable"},
    {25, "cgroup_sockopt"},
    {26, "tracing"},
    {27, "struct_ops"},
    {28, "ext"},
    {29, "lsm"},
    {30, "sk_lookup"},
    {31, "syscall"},
    {32, "netfilter"},
};

// include/uapi/asm-generic/fcntl.h, the bits that say something about an open file; the same on x86 and arm64 (O_DIRECT
// and O_DIRECTORY are not, and are left out).
inline constexpr NamedBit open_flag_names[] = {
    {00000001, "O_WRONLY"}, {00000002, "O_RDWR"},    {00002000, "O_APPEND"},   {00004000, "O_NONBLOCK"},
    {00010000, "O_DSYNC"},  {02000000, "O_CLOEXEC"}, {020000000, "O_TMPFILE"},
};

// include/uapi/linux/capability.h
inline constexpr NamedBit capability_names[] = {
    {1ULL << 0, "CAP_CHOWN"},
    {1ULL << 1, "CAP_DAC_OVERRIDE"},
    {1ULL << 2, "CAP_DAC_READ_SEARCH"},
    {1ULL << 3, "CAP_FOWNER"},
    {1ULL << 4, "CAP_FSETID"},
    {1ULL << 5, "CAP_KILL"},
    {1ULL << 6, "CAP_SETGID"},
    {1ULL << 7, "CAP_SETUID"},
    {1ULL << 8, "CAP_SETPCAP"},
    {1ULL << 9, "CAP_LINUX_IMMUTABLE"},
    {1ULL << 10, "CAP_NET_BIND_SERVICE"},
    {1ULL << 11, "CAP_NET_BROADCAST"},
    {1ULL << 12, "CAP_NET_ADMIN"},
    {1ULL << 13, "CAP_NET_RAW"},
    {1ULL << 14, "CAP_IPC_LOCK"},
    {1ULL << 15, "CAP_IPC_OWNER"},
    {1ULL << 16, "CAP_SYS_MODULE"},
    {1ULL << 17, "CAP_SYS_RAWIO"},
    {1ULL << 18, "CAP_SYS_CHROOT"},
    {1ULL << 19, "CAP_SYS_PTRACE"},
    {1ULL << 20, "CAP_SYS_PACCT"},
    {1ULL << 21, "CAP_SYS_ADMIN"},
    {1ULL << 22, "CAP_SYS_BOOT"},
    {1ULL << 23, "CAP_SYS_NICE"},
    {1ULL << 24, "CAP_SYS_RESOURCE"},
    {1ULL << 25, "CAP_SYS_TIME"},
    {1ULL << 26, "CAP_SYS_TTY_CONFIG"},
    {1ULL << 27, "CAP_MKNOD"},
    {1ULL << 28, "CAP_LEASE"},
    {1ULL << 29, "CAP_AUDIT_WRITE"},
    {1ULL << 30, "CAP_AUDIT_CONTROL"},
    {1ULL << 31, "CAP_SETFCAP"},
    {1ULL << 32, "CAP_MAC_OVERRIDE"},
    {1ULL << 33, "CAP_MAC_ADMIN"},
    {1ULL << 34, "CAP_SYSLOG"},
    {1ULL << 35, "CAP_WAKE_ALARM"},
    {1ULL << 36, "CAP_BLOCK_SUSPEND"},
    {1ULL << 37, "CAP_AUDIT_READ"},
    {1ULL << 38, "CAP_PERFMON"},
    {1ULL << 39, "CAP_BPF"},
    {1ULL << 40, "CAP_CHECKPOINT_RESTORE"},
};

// enum wire_socket_flags, wire/network.h
inline constexpr NamedBit socket_flag_names[] = {{1, "mptcp"}};

// enum wire_direction, wire/network.h; the names are those that ECS has for what a host sees
inline constexpr NamedBit direction_names[] = {{1, "ingress"}, {2, "egress"}};

// include/linux/socket.h
inline constexpr NamedBit address_family_names[] = {{1, "AF_UNIX"}, {2, "AF_INET"}, {10, "AF_INET6"}};

// include/uapi/linux/in.h, in6.h
inline constexpr NamedBit transport_names[] = {{1, "icmp"},       {6, "tcp"},    {17, "udp"},     {33, "dccp"},
                                               {58, "ipv6-icmp"}, {132, "sctp"}, {136, "udplite"}};

inline constexpr NamedBit ip_version_names[] = {{4, "ipv4"}, {6, "ipv6"}};

// include/net/tcp_states.h
inline constexpr NamedBit tcp_state_names[] = {
    {1, "ESTABLISHED"}, {2, "SYN_SENT"}, {3, "SYN_RECV"},   {4, "FIN_WAIT1"}, {5, "FIN_WAIT2"},
    {6, "TIME_WAIT"},   {7, "CLOSE"},    {8, "CLOSE_WAIT"}, {9, "LAST_ACK"},  {10, "LISTEN"},
    {11, "CLOSING"},    {100, "NEW"},    {101, "ACTIVE"},   {102, "ENDED"},  // enum wire_flow_state, wire/network.h
};

// include/linux/net.h
inline constexpr NamedBit socket_type_names[] = {{1, "SOCK_STREAM"}, {2, "SOCK_DGRAM"}, {5, "SOCK_SEQPACKET"}};

}  // namespace nightjar::wire
