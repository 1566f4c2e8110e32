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

}  // namespace nightjar::wire
