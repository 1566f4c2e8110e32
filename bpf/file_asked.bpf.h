/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a system call on files is asked to do, from its number and arguments. */
#pragma once
#include "file.bpf.h"
#include "syscall.bpf.h"
#include <asm/unistd.h>

#define AT_FDCWD -100
#define AT_REMOVEDIR 0x200
#define AT_SYMLINK_FOLLOW 0x400
#define O_TRUNC_BIT 01000

enum which_name { NEW_NAME, OLD_NAME };

struct asked {
	__u64 names[2]; /* the caller's strings: enum which_name */
	__u64 text;
	__u64 flags;
	__s32 dfd, old_dfd;
	__s32 fd; /* of calls on a descriptor; else -1 */
	__u32 kind;
};

/* What a call is asked to do, by its number. */
static __always_inline bool describe(struct asked *s, struct arguments *ctx, __u64 nr)
{
	s->fd = -1;
	s->dfd = s->old_dfd = AT_FDCWD;
	switch (nr) {
#ifdef __NR_open
	case __NR_open:
		s->kind = WIRE_FILE_OPEN_WRITE;
		s->flags = ctx->args[1];
		return true;
	case __NR_creat:
		s->kind = WIRE_FILE_OPEN_WRITE;
		s->flags = O_TRUNC_BIT;
		return true;
	case __NR_rename:
		s->kind = WIRE_FILE_RENAME;
		s->names[OLD_NAME] = ctx->args[0];
		s->names[NEW_NAME] = ctx->args[1];
		return true;
	case __NR_mkdir:
		s->kind = WIRE_FILE_MKDIR;
		s->names[NEW_NAME] = ctx->args[0];
		return true;
	case __NR_rmdir:
		s->kind = WIRE_FILE_RMDIR;
		s->names[NEW_NAME] = ctx->args[0];
		return true;
	case __NR_unlink:
		s->kind = WIRE_FILE_DELETE;
		s->names[NEW_NAME] = ctx->args[0];
		return true;
	case __NR_link:
		s->kind = WIRE_FILE_LINK;
		s->names[OLD_NAME] = ctx->args[0];
		s->names[NEW_NAME] = ctx->args[1];
		return true;
	case __NR_symlink:
		s->kind = WIRE_FILE_SYMLINK;
		s->text = ctx->args[0];
		s->names[NEW_NAME] = ctx->args[1];
		return true;
	case __NR_chmod:
		s->kind = WIRE_FILE_CHMOD;
		s->names[NEW_NAME] = ctx->args[0];
		return true;
	case __NR_chown:
	case __NR_lchown:
		s->kind = WIRE_FILE_CHOWN;
		s->names[NEW_NAME] = ctx->args[0];
		return true;
	case __NR_mknod:
		s->kind = WIRE_FILE_MKNOD;
		s->names[NEW_NAME] = ctx->args[0];
		return true;
	case __NR_utime:
	case __NR_utimes:
		s->kind = WIRE_FILE_UTIMES;
		s->names[NEW_NAME] = ctx->args[0];
		return true;
	case __NR_futimesat:
		s->kind = WIRE_FILE_UTIMES;
		s->dfd = ctx->args[0];
		s->names[NEW_NAME] = ctx->args[1];
		return true;
#endif
	case __NR_openat:
		s->kind = WIRE_FILE_OPEN_WRITE;
		s->flags = ctx->args[2];
		return true;
	case __NR_openat2:
		s->kind = WIRE_FILE_OPEN_WRITE;
		bpf_probe_read_user(&s->flags, sizeof(s->flags), (void *)ctx->args[2]);
		return true;
	case __NR_open_by_handle_at:
		s->kind = WIRE_FILE_OPEN_WRITE;
		s->flags = ctx->args[2];
		return true;
#ifdef __NR_renameat
	case __NR_renameat:
#endif
	case __NR_renameat2:
		s->kind = WIRE_FILE_RENAME;
		s->old_dfd = ctx->args[0];
		s->names[OLD_NAME] = ctx->args[1];
		s->dfd = ctx->args[2];
		s->names[NEW_NAME] = ctx->args[3];
		s->flags = nr == __NR_renameat2 ? ctx->args[4] : 0;
		return true;
	case __NR_mkdirat:
		s->kind = WIRE_FILE_MKDIR;
		s->dfd = ctx->args[0];
		s->names[NEW_NAME] = ctx->args[1];
		return true;
	case __NR_unlinkat:
		s->kind = ctx->args[2] & AT_REMOVEDIR ? WIRE_FILE_RMDIR : WIRE_FILE_DELETE;
		s->dfd = ctx->args[0];
		s->names[NEW_NAME] = ctx->args[1];
		return true;
	case __NR_linkat:
		s->kind = WIRE_FILE_LINK;
		s->old_dfd = ctx->args[0];
		s->names[OLD_NAME] = ctx->args[1];
		s->dfd = ctx->args[2];
		s->names[NEW_NAME] = ctx->args[3];
		s->flags = ctx->args[4];
		return true;
	case __NR_symlinkat:
		s->kind = WIRE_FILE_SYMLINK;
		s->text = ctx->args[0];
		s->dfd = ctx->args[1];
		s->names[NEW_NAME] = ctx->args[2];
		return true;
	case __NR_fchmod:
		s->kind = WIRE_FILE_CHMOD;
		s->fd = ctx->args[0];
		return true;
	case __NR_fchmodat:
#ifdef __NR_fchmodat2
	case __NR_fchmodat2:
#endif
		s->kind = WIRE_FILE_CHMOD;
		s->dfd = ctx->args[0];
		s->names[NEW_NAME] = ctx->args[1];
		return true;
	case __NR_fchown:
		s->kind = WIRE_FILE_CHOWN;
		s->fd = ctx->args[0];
		return true;
	case __NR_fchownat:
		s->kind = WIRE_FILE_CHOWN;
		s->dfd = ctx->args[0];
		s->names[NEW_NAME] = ctx->args[1];
		return true;
	case __NR_truncate:
		s->kind = WIRE_FILE_TRUNCATE;
		s->names[NEW_NAME] = ctx->args[0];
		return true;
	case __NR_ftruncate:
		s->kind = WIRE_FILE_TRUNCATE;
		s->fd = ctx->args[0];
		return true;
	case __NR_mknodat:
		s->kind = WIRE_FILE_MKNOD;
		s->dfd = ctx->args[0];
		s->names[NEW_NAME] = ctx->args[1];
		return true;
	case __NR_setxattr:
	case __NR_lsetxattr:
		s->kind = WIRE_FILE_XATTR_SET;
		s->names[NEW_NAME] = ctx->args[0];
		s->text = ctx->args[1];
		return true;
	case __NR_fsetxattr:
		s->kind = WIRE_FILE_XATTR_SET;
		s->fd = ctx->args[0];
		s->text = ctx->args[1];
		return true;
	case __NR_utimensat:
		s->kind = WIRE_FILE_UTIMES;
		s->dfd = ctx->args[0];
		s->names[NEW_NAME] = ctx->args[1];
		if (!s->names[NEW_NAME])
			s->fd = ctx->args[0];
		return true;
	default:
		return false;
	}
}
