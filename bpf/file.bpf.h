/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs of the file family share: which files are looked at, how a record is made. */
#pragma once
#ifdef NIGHTJAR_LEGACY
#include "scope.bpf.h"
#else
#include "rules.bpf.h"
#endif
#include "wire/file.h"

/* One bit for each kind from WIRE_FILE_CREATE on: what was asked for. */
#ifndef NIGHTJAR_LEGACY
const volatile __u32 file_wanted __weak = ~0U;
#endif

static __always_inline bool file_kind_wanted(__u32 kind)
{
	return file_wanted >> (kind - WIRE_FILE_CREATE) & 1;
}

/* include/linux/fs.h */
#define FMODE_READ 0x1
#define FMODE_WRITE 0x2
#define FMODE_EXEC 0x20
#define FMODE_CREATED 0x100000
#define O_TMPFILE_BIT 020000000 /* __O_TMPFILE, include/uapi/asm-generic/fcntl.h */
/* include/uapi/linux/fs.h */
#define RENAME_EXCHANGE 2

/* ---- Which files ---- */

/* include/uapi/linux/magic.h and the file systems' own headers: what is not storage but a view of the kernel. */
static __always_inline bool is_pseudo(struct super_block *sb)
{
	switch (READ(sb, s_magic)) {
	case 0x9fa0:     /* proc */
	case 0x62656572: /* sysfs */
	case 0x27e0eb:   /* cgroup */
	case 0x63677270: /* cgroup2 */
	case 0x64626720: /* debugfs */
	case 0x74726163: /* tracefs */
	case 0x73636673: /* securityfs */
	case 0x62656570: /* configfs */
	case 0x6165676c: /* pstore */
	case 0x1cd1:     /* devpts */
	case 0x19800202: /* mqueue */
	case 0x42494e4d: /* binfmt_misc */
	case 0xf97cff8c: /* selinux */
	case 0x43415d53: /* smack */
	case 0x5a3c69f0: /* apparmor */
	case 0xde5e81e4: /* efivars */
	case 0x50495045: /* pipes */
	case 0x534f434b: /* sockets */
	case 0x9041934:  /* anonymous inodes */
	case 0x6e736673: /* namespaces */
	case 0x50494446: /* pidfds */
	case 0x7655821:  /* resctrl */
	case 0x11307854: /* MTD inodes */
	case 0x67596969: /* rpc_pipefs */
		return true;
	default:
		return false;
	}
}

/* Mounted by the kernel for itself, such as the layers of an overlay: what happens there is the doing of an operation
 * that is reported where the process did it. MNT_NS_INTERNAL is ERR_PTR(-EINVAL), fs/mount.h. */
static __always_inline bool is_internal(struct vfsmount *mnt)
{
	return (__s64)READ(mount_of(mnt), mnt_ns) == -22;
}

static __always_inline bool is_storage(__u32 mode)
{
	return (mode & S_IFMT) == S_IFREG || (mode & S_IFMT) == S_IFBLK;
}

/* Helpers with plain numbers: BPF_CORE_READ would relocate the members of our own structs as well. */
static __always_inline struct inode *inode_of(__u64 dentry)
{
	struct dentry *d = (void *)dentry;

	return READ(d, d_inode);
}

static __always_inline struct super_block *file_system_of(__u64 dentry)
{
	struct dentry *d = (void *)dentry;

	return READ(d, d_sb);
}

static __always_inline struct mnt_namespace *namespace_of(__u64 mnt)
{
	struct mount *m = mount_of((void *)mnt);

	return READ(m, mnt_ns);
}

/* ---- A record ---- */

/* What is known when it happened; paths are walked from it. */
struct file_facts {
	__u64 mnt, dentry;         /* of the path; 0: the old path is it, the name is gone */
	__u64 old_mnt, old_dentry; /* of the old path; with old_name: of its directory */
	__u64 text;                /* kernel memory: a link's text or an attribute's name */
	__u64 user_text;           /* the same in the caller's memory */
	__u64 inode, size, old_inode, overwritten, bytes_written;
	__u32 dev, mode, uid, gid;
	__u32 old_mode, old_uid, old_gid;
	__u32 flags, open_flags, missing;
	__u32 turned; /* what is said here of the path is of the old one, and the other way round */
	char old_name[NAME_BYTES];
};

#ifndef NIGHTJAR_LEGACY
#define LINK_TEXT_BYTES 4096 /* PATH_MAX */
struct file_scratch {
	struct file_facts facts;
	struct file_event rec;
	__u8 tail[2 * PATH_BYTES + NAME_BYTES + LINK_TEXT_BYTES];
};

#define FILE_TAIL_BYTES (2 * PATH_BYTES + NAME_BYTES + LINK_TEXT_BYTES)
WIRE_ASSERT(sizeof(struct file_scratch) <= SCRATCH_BYTES);

static __always_inline struct file_scratch *file_scratch_at(__u32 row)
{
	struct scratch_row *r = scratch_at(row);

	if (!r)
		return NULL;
	opaque(r); /* or the check would be merged with the caller's, behind the addition */
	return (void *)r->bytes;
}
#endif

static __always_inline void begin_facts(struct file_facts *f)
{
	__builtin_memset(f, 0, offsetof(struct file_facts, old_name));
	f->old_name[0] = 0;
	f->size = WIRE_NO_COUNT;
	f->bytes_written = WIRE_NO_COUNT;
	f->mode = f->uid = f->gid = WIRE_NO_ID;
	f->old_mode = f->old_uid = f->old_gid = WIRE_NO_ID;
}

/* Identity and metadata as they are now. */
static __always_inline void inode_facts(struct file_facts *f, struct inode *inode)
{
	if (!inode) {
		f->missing |= WIRE_MISSING_INODE;
		return;
	}
	f->inode = READ(inode, i_ino);
	f->dev = inode_device(inode);
	f->mode = READ(inode, i_mode);
	f->uid = READ(inode, i_uid.val);
	f->gid = READ(inode, i_gid.val);
	f->size = READ(inode, i_size);
	/* xfs keeps the size of a directory elsewhere. */
	if ((f->mode & S_IFMT) == S_IFDIR && READ(inode, i_sb, s_magic) == XFS_SUPER_MAGIC) {
		f->size = WIRE_NO_COUNT;
		f->missing |= WIRE_MISSING_SIZE;
	}
}

static __always_inline bool is_unhashed(struct dentry *dentry)
{
	return !READ(dentry, d_hash.pprev);
}

/* For events on a file that keeps its name. */
static __always_inline void deleted_fact(struct file_facts *f, struct dentry *dentry)
{
	if (is_unhashed(dentry) && READ(dentry, d_parent) != dentry)
		f->flags |= WIRE_FILE_DELETED;
}

/* What a record says beside its paths and flags. */
static __always_inline void put_file_facts(struct file_event *rec, const struct file_facts *f)
{
	rec->inode = f->inode;
	rec->size = f->size;
	rec->old_inode = f->old_inode;
	rec->overwritten_inode = f->overwritten;
	rec->bytes_written = f->bytes_written;
	rec->dev = f->dev;
	rec->mode = f->mode;
	rec->uid = f->uid;
	rec->gid = f->gid;
	rec->old_mode = f->old_mode;
	rec->old_uid = f->old_uid;
	rec->old_gid = f->old_gid;
	rec->open_flags = f->open_flags;
}

#ifndef NIGHTJAR_LEGACY /* legacy_file.bpf.c has its own, in pieces */
/* Walks the paths. Returns how much of the tail is used; -1: the row does not exist. Global, so that the verifier
 * checks it once. */
__weak __noinline int resolve_file(__u32 row, __u32 kind)
{
	struct file_scratch *s = file_scratch_at(row);
	struct task_struct *task = (void *)bpf_get_current_task();
	struct file_event *rec;
	struct file_facts *f;
	__u32 walk = scratch_path_row(row);
	__u32 missing;
	__u64 at, len;
	long n;

	if (!s)
		return -1;
	rec = &s->rec;
	f = &s->facts;
	missing = f->missing;
	rec->flags = f->flags;
	rec->pad0 = 0;
	__builtin_memset(&rec->path, 0, 4 * sizeof(struct wire_slice));

	at = 0;
	if (f->mnt) {
		at = put_path(s->tail, walk, (void *)f->mnt, (void *)f->dentry, &missing,
			      f->turned ? WIRE_MISSING_OLD_PATH : WIRE_MISSING_PATH,
			      f->turned ? WIRE_CUT_OLD_PATH : WIRE_CUT_PATH);
		if (namespace_of(f->mnt) != READ(task, nsproxy, mnt_ns))
			rec->flags |= WIRE_FILE_UNREACHABLE;
	} else if (!f->old_dentry) {
		missing |= WIRE_MISSING_PATH;
	}
	rec->path.off = sizeof(*rec);
	rec->path.len = at;

	opaque(at);
	if (at > PATH_BYTES)
		return -1;
	if (f->old_dentry) {
		__u64 begin = at;

		if (f->old_name[0]) {
			n = bpf_probe_read_kernel_str(s->tail + at, NAME_BYTES, f->old_name);
			if (n > 0)
				at += n;
		}
		opaque(at);
		if (at > PATH_BYTES + NAME_BYTES)
			return -1;
		len = put_path(s->tail + at, walk, (void *)f->old_mnt, (void *)f->old_dentry, &missing,
			       f->turned ? WIRE_MISSING_PATH : WIRE_MISSING_OLD_PATH,
			       f->turned ? WIRE_CUT_PATH : WIRE_CUT_OLD_PATH);
		/* The root's own, empty component is none when a name stands before it. */
		if (f->old_name[0] && len == 1)
			len = 0;
		at += len;
		if (f->mnt) {
			rec->old_path.off = sizeof(*rec) + begin;
			rec->old_path.len = at - begin;
		} else { /* the name that is gone is the event's */
			rec->path.len = at - begin;
		}
		if (f->turned) {
			struct wire_slice path = rec->path;

			rec->path = rec->old_path;
			rec->old_path = path;
		}
	}
	opaque(at);
	if (at > 2 * PATH_BYTES + NAME_BYTES)
		return -1;
	if (f->text || f->user_text) {
		if (f->text)
			n = bpf_probe_read_kernel_str(s->tail + at, LINK_TEXT_BYTES, (void *)f->text);
		else
			n = bpf_probe_read_user_str(s->tail + at, LINK_TEXT_BYTES, (void *)f->user_text);
		if (n <= 0 || n > LINK_TEXT_BYTES) {
			missing |= WIRE_MISSING_LINK_TEXT;
		} else if (kind == WIRE_FILE_XATTR_SET) {
			rec->xattr.off = sizeof(*rec) + at;
			rec->xattr.len = n;
			at += n;
		} else {
			rec->target.off = sizeof(*rec) + at;
			rec->target.len = n;
			at += n;
		}
	}
	f->missing = missing;
	return at;
}

static __always_inline __u32 slice_verdict(__u32 row, __u32 kind, struct wire_slice *slice, bool is_path, __u32 least)
{
	const __u32 record = offsetof(struct file_scratch, rec);
	__u32 verdict;

	if (!slice->len)
		return least;
	verdict = text_verdict(row, kind, record + slice->off, record + slice->off + slice->len, is_path);
	return verdict < least ? verdict : least;
}

/* Whether the rules on paths drop the event, counted. A path that is not known whole is none to judge by. */
__weak __noinline int rules_drop(__u32 row, __u32 kind)
{
	struct scratch_row *r = scratch_at(row);
	struct wire_rule_set *set;
	struct file_scratch *s;
	__u32 verdict, at;

	if (!path_rules_possible || !r || !begin_rules(r))
		return 0;
	at = r->rules.set;
	set = bpf_map_lookup_elem(&path_rule_sets, &at);
	s = file_scratch_at(row);
	if (!set || !s)
		return 0;
	if (s->facts.missing &
	    (WIRE_MISSING_PATH | WIRE_CUT_PATH | WIRE_MISSING_OLD_PATH | WIRE_CUT_OLD_PATH | WIRE_MISSING_LINK_TEXT))
		return 0;
	verdict = set->others[(kind - WIRE_FILE_CREATE) % WIRE_FILE_KINDS];
	verdict = slice_verdict(row, kind, &s->rec.path, true, verdict);
	verdict = slice_verdict(row, kind, &s->rec.old_path, true, verdict);
	verdict = slice_verdict(row, kind, &s->rec.target, false, verdict);
	if (!(verdict & WIRE_VERDICT_DROPS) || verdict == WIRE_VERDICT_NONE)
		return 0;
	count_drop(set, verdict);
	return held_back(kind, true);
}

/* What make_file_record() left to send, in one number: the size of the row's record in the low half, the record of its
 * cgroup in the high. */
#define FILE_RECORD_SIZE(made) ((made) & 0xffffffff)
#define FILE_RECORD_CGROUP(made) ((made) >> 32)

/* Makes the record of what the facts of a row say; 0: there is none. Global: one program sends in several places. */
__weak __noinline __u64 make_file_record(__u32 row, __u32 kind)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch_row *r = scratch_at(row);
	struct file_scratch *s;
	struct file_event *rec;
	int used;

	if (!r)
		return 0;
	s = (void *)r->bytes;
	rec = &s->rec;
	used = resolve_file(row, kind);
	if (used < 0 || rules_drop(row, kind) || !begin_record(&rec->hdr, kind))
		return 0;
	rec->hdr.incomplete = s->facts.missing;
	fill_task(&rec->task, task, false);
	put_file_facts(rec, &s->facts);
	return (__u64)begin_cgroup(&rec->hdr, &rec->task, task) << 32 | (sizeof(*rec) + used);
}

/* Sends what the facts of a row say that the caller took. */
static __always_inline void send_file(void *ctx, __u32 row, __u32 kind)
{
	struct scratch_row *r = scratch_at(row);
	struct file_event *rec;
	__u64 made, size;

	if (!r)
		return;
	rec = &((struct file_scratch *)r->bytes)->rec;
	made = make_file_record(row, kind);
	send_cgroup_record(ctx, &rec->hdr, FILE_RECORD_CGROUP(made));
	size = FILE_RECORD_SIZE(made);
	if (!size)
		return;
	opaque(size); /* or clang makes one comparison of the two, on size - 1: 5.10 sees no bound of size in it */
	if (size <= sizeof(*rec) + FILE_TAIL_BYTES)
		send_record(ctx, &activity, &rec->hdr, size);
}
#endif

/* What a function returned that gives a pointer: the verifier allows no arithmetic on it. */
static __always_inline bool is_error_pointer(__u64 ret)
{
	return ret >= (__u64)-4095;
}

/* An int that is not 0, or a pointer that is an error: vfs_mkdir gives a dentry since Linux kernel commit c54b386969a5
 * ("VFS: Change vfs_mkdir() to return the dentry.") (in v6.15). Of an int only the low half is defined. */
static __always_inline bool has_failed(__u64 ret)
{
	if (is_error_pointer(ret))
		return true;
	return ret <= 0xffffffff && (__s32)ret < 0;
}

/* ---- Opens ---- */

static __always_inline __u64 mount_of_file(struct file *file)
{
	return (__u64)READ(file, f_path.mnt);
}

static __always_inline void file_facts_of(struct file_facts *f, struct file *file)
{
	f->mnt = mount_of_file(file);
	f->dentry = (__u64)READ(file, f_path.dentry);
	inode_facts(f, inode_of(f->dentry));
	deleted_fact(f, (void *)f->dentry);
}

/* What an open that succeeded is, if it is wanted; else 0. `created`: known from elsewhere. */
static __always_inline __u32 open_kind(struct file *file, const bool created)
{
	struct inode *inode = READ(file, f_inode);
	__u32 mode = READ(file, f_mode);
	__u32 flags = READ(file, f_flags);
	__u32 kind;

	if (mode & FMODE_CREATED || flags & O_TMPFILE_BIT || created)
		kind = WIRE_FILE_CREATE;
	else if (mode & FMODE_WRITE)
		kind = WIRE_FILE_OPEN_WRITE;
	else if (mode & FMODE_READ && !(flags & FMODE_EXEC))
		kind = WIRE_FILE_OPEN_READ;
	else
		return 0;
	if (!file_kind_wanted(kind) || !is_storage(READ(inode, i_mode)) || is_pseudo(READ(inode, i_sb)) ||
	    is_internal((void *)mount_of_file(file)))
		return 0;
	return kind;
}

#ifndef NIGHTJAR_LEGACY
static __always_inline int open_ends(void *ctx, __u64 ret)
{
	struct file *file = (void *)ret;
	struct file_scratch *s;
	__u32 kind;
	int row;

	if (!ret || is_error_pointer(ret) || !in_scope((void *)bpf_get_current_task(), false))
		return 0;
	kind = open_kind(file, false);
	if (!kind)
		return 0;
	row = take_scratch(kind);
	if (row < 0)
		return 0;
	s = file_scratch_at(row);
	if (s) {
		begin_facts(&s->facts);
		s->facts.open_flags = READ(file, f_flags);
		file_facts_of(&s->facts, file);
		send_file(ctx, row, kind);
	}
	give_scratch(row);
	return 0;
}
#endif
