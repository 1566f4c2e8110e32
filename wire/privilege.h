/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Credentials. */
#pragma once
#include "wire/base.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

struct wire_credentials {
	__u32 uid; /* effective */
	__u32 gid;
	__u32 ruid;
	__u32 rgid;
	__u32 suid;
	__u32 sgid;
	__u32 fsuid;
	__u32 fsgid;
	__u64 cap_effective;
	__u64 cap_permitted;
	__u64 cap_inheritable;
	__u64 cap_bounding;
	__u64 cap_ambient;
	__u64 groups; /* not shown: tells one list of supplementary groups from another */
};
WIRE_ASSERT(sizeof(struct wire_credentials) == 80);

enum wire_changed {
	WIRE_CHANGED_USER = 1 << 0,
	WIRE_CHANGED_REAL_USER = 1 << 1,
	WIRE_CHANGED_SAVED_USER = 1 << 2,
	WIRE_CHANGED_FS_USER = 1 << 3,
	WIRE_CHANGED_GROUP = 1 << 4,
	WIRE_CHANGED_REAL_GROUP = 1 << 5,
	WIRE_CHANGED_SAVED_GROUP = 1 << 6,
	WIRE_CHANGED_FS_GROUP = 1 << 7,
	WIRE_CHANGED_EFFECTIVE = 1 << 8,
	WIRE_CHANGED_PERMITTED = 1 << 9,
	WIRE_CHANGED_INHERITABLE = 1 << 10,
	WIRE_CHANGED_BOUNDING = 1 << 11,
	WIRE_CHANGED_AMBIENT = 1 << 12,
	WIRE_CHANGED_GROUPS = 1 << 13,
};

/* set_credentials, capability_set; the ids in `task` are those after. */
struct credentials_change {
	struct wire_header hdr;
	struct wire_task task;
	struct wire_credentials before;
	__u64 cap_effective; /* after */
	__u64 cap_permitted;
	__u64 cap_inheritable;
	__u64 cap_bounding;
	__u64 cap_ambient;
	__u32 fsuid;
	__u32 fsgid;
	__u32 changed; /* enum wire_changed */
	__s32 syscall; /* the system call that the thread is in; -1: not known */
};
WIRE_ASSERT(sizeof(struct credentials_change) == 288);

struct login_uid_change {
	struct wire_header hdr;
	struct wire_task task; /* login_uid: after */
	__u32 before;
	__u32 pad0;
};
WIRE_ASSERT(sizeof(struct login_uid_change) == 160);

#pragma GCC diagnostic pop

#ifdef __cplusplus
#include "wire/names.hpp"

namespace nightjar::wire {
inline constexpr NamedBit changed_names[] = {
    {WIRE_CHANGED_USER, "user"},
    {WIRE_CHANGED_REAL_USER, "real_user"},
    {WIRE_CHANGED_SAVED_USER, "saved_user"},
    {WIRE_CHANGED_FS_USER, "fs_user"},
    {WIRE_CHANGED_GROUP, "group"},
    {WIRE_CHANGED_REAL_GROUP, "real_group"},
    {WIRE_CHANGED_SAVED_GROUP, "saved_group"},
    {WIRE_CHANGED_FS_GROUP, "fs_group"},
    {WIRE_CHANGED_EFFECTIVE, "capabilities.effective"},
    {WIRE_CHANGED_PERMITTED, "capabilities.permitted"},
    {WIRE_CHANGED_INHERITABLE, "capabilities.inheritable"},
    {WIRE_CHANGED_BOUNDING, "capabilities.bounding"},
    {WIRE_CHANGED_AMBIENT, "capabilities.ambient"},
    {WIRE_CHANGED_GROUPS, "supplementary_groups"},
};
}  // namespace nightjar::wire

// clang-format off
WIRE_SCHEMA(wire_credentials,
  FIELD(uid, "nightjar.credentials.before.user.id", as::keyword, "Effective user id before."),
  FIELD(gid, "nightjar.credentials.before.group.id", as::keyword, "Effective group id before."),
  FIELD(ruid, "nightjar.credentials.before.real_user.id", as::keyword, "Real user id before."),
  FIELD(rgid, "nightjar.credentials.before.real_group.id", as::keyword, "Real group id before."),
  FIELD(suid, "nightjar.credentials.before.saved_user.id", as::keyword, "Saved user id before."),
  FIELD(sgid, "nightjar.credentials.before.saved_group.id", as::keyword, "Saved group id before."),
  FIELD(fsuid, "nightjar.credentials.before.fs_user.id", as::keyword, "File system user id before."),
  FIELD(fsgid, "nightjar.credentials.before.fs_group.id", as::keyword, "File system group id before."),
  FIELD(cap_effective, "nightjar.credentials.before.thread.capabilities.effective", as::names(capability_names), "Effective capabilities before."),
  FIELD(cap_permitted, "nightjar.credentials.before.thread.capabilities.permitted", as::names(capability_names), "Permitted capabilities before."),
  FIELD(cap_inheritable, "nightjar.credentials.before.capabilities.inheritable", as::names(capability_names), "Inheritable capabilities before."),
  FIELD(cap_bounding, "nightjar.credentials.before.capabilities.bounding", as::names(capability_names), "Bounding set before."),
  FIELD(cap_ambient, "nightjar.credentials.before.capabilities.ambient", as::names(capability_names), "Ambient capabilities before."),
  HIDDEN(groups));

WIRE_SCHEMA(credentials_change,
  INLINED(hdr), INLINED(task), INLINED(before),
  FIELD(cap_effective, "process.thread.capabilities.effective", as::names(capability_names), "Effective capabilities after."),
  FIELD(cap_permitted, "process.thread.capabilities.permitted", as::names(capability_names), "Permitted capabilities after."),
  FIELD(cap_inheritable, "nightjar.capabilities.inheritable", as::names(capability_names), "Inheritable capabilities after."),
  FIELD(cap_bounding, "nightjar.capabilities.bounding", as::names(capability_names), "Bounding set after."),
  FIELD(cap_ambient, "nightjar.capabilities.ambient", as::names(capability_names), "Ambient capabilities after."),
  FIELD(fsuid, "nightjar.credentials.fs_user.id", as::keyword, "File system user id after."),
  FIELD(fsgid, "nightjar.credentials.fs_group.id", as::keyword, "File system group id after."),
  FIELD(changed, "nightjar.credentials.changed", as::names(changed_names), "What is different."),
  HIDDEN(syscall));

WIRE_SCHEMA(login_uid_change,
  INLINED(hdr), INLINED(task),
  FIELD(before, "nightjar.credentials.before.login_uid", as::number.unless(0xffffffff), "Audit login uid before; absent: it was not set."),
  PADDING(pad0));
// clang-format on
#endif
