/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A thread's call on files while it runs: what it was asked, the last components of its names, and the inodes whose
 * change time it set, which are its witnesses (file_calls.bpf.c). */
#pragma once
#include "file_asked.bpf.h"

#define WITNESSES 8
struct witness {
	__u64 inode;                /* the kernel's; 0: none */
	__u64 parent, parent_inode; /* of the name by which the file was known then */
	__u64 ino, size;
	__u32 dev, mode, uid, gid;
	__u32 is_old, is_new; /* the name then was the call's old, new one */
};

struct file_syscall {
	struct asked asked;
	__u32 old_mode, old_uid, old_gid;
	__u32 count;
	__u32 on_overlay; /* the witnesses are of an overlay */
	struct witness witnesses[WITNESSES];
	/* Of each name, in the order of enum which_name: the last component, padded with zeros, and where it begins. */
	char last[2][NAME_BYTES];
	__u32 last_at[2];
	char scratch[NAME_BYTES];
	__u64 mount, fallback; /* of visible_mount() */
	__u64 child;           /* of child_named() */
	__u64 touched;         /* of witnessed() */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct file_syscall);
} file_syscalls SEC(".maps");

static const struct file_syscall no_syscall;

/* ---- Names ---- */

static __always_inline struct file_syscall *syscall_of_thread(void)
{
	__u64 thread = bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&file_syscalls, &thread);
}

/* What follows is asked in loops: global functions, which the verifier checks once. They take numbers only, so each
 * finds the thread's call again. */

/* Without a branch: the verifier would look at what follows once for each. */
static __always_inline __u32 one_of(__u32 which)
{
	opaque(which);
	return which & 1;
}

/* Whether the entry has the last component of the call's name. */
__noinline int name_is(__u64 entry, __u32 which)
{
	struct file_syscall *s = syscall_of_thread();
	struct dentry *dentry = (void *)entry;
	const __u64 *a, *b;

	if (!s || !entry)
		return 0;
	a = (void *)s->scratch;
	b = (void *)s->last[one_of(which)];
	__builtin_memset(s->scratch, 0, NAME_BYTES);
	if (bpf_probe_read_kernel_str(s->scratch, NAME_BYTES, READ(dentry, d_name.name)) <= 0)
		return 0;
	for (int i = 0; i < NAME_BYTES / 8; i++) {
		if (a[i] != b[i])
			return 0;
	}
	return 1;
}

/* Copies the last component of the caller's path, without slashes behind it. Global: verified once. */
#define GIVEN_BYTES 4096
struct given_name {
	char bytes[GIVEN_BYTES + NAME_BYTES];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct given_name);
} given_names SEC(".maps");

static __always_inline struct given_name *given_name(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&given_names, &zero);
}

/* Goes back from the end of a name by some bytes, or to where it begins. */
#define BACK_AT_ONCE 16
__noinline __u64 go_back(__u64 begin)
{
	struct given_name *g = given_name();

	for (int i = 0; g && i < BACK_AT_ONCE; i++) {
		opaque(begin);
		if (begin == 0 || begin >= GIVEN_BYTES || g->bytes[begin - 1] == '/')
			break;
		begin--;
	}
	return begin;
}

__noinline int copy_last(__u32 which)
{
	struct file_syscall *s = syscall_of_thread();
	struct given_name *g = given_name();
	__u64 end, begin, name;
	char *to;
	long n;

	if (!s)
		return 0;
	to = s->last[one_of(which)];
	name = s->asked.names[one_of(which)];
	__builtin_memset(to, 0, NAME_BYTES);
	if (!g || !name)
		return 0;
	n = bpf_probe_read_user_str(g->bytes, GIVEN_BYTES, (void *)name);
	if (n <= 1 || n > GIVEN_BYTES)
		return 0;
	end = n - 1;
	for (int i = 0; i < 8; i++) { /* slashes behind */
		opaque(end);
		if (end == 0 || end >= GIVEN_BYTES || g->bytes[end - 1] != '/')
			break;
		end--;
	}
	begin = end;
	for (int i = 0; i < NAME_BYTES / BACK_AT_ONCE; i++) {
		__u64 next = go_back(begin);

		if (next == begin)
			break;
		begin = next;
	}
	n = end - begin;
	opaque(n);
	opaque(begin);
	if (n <= 0 || n >= NAME_BYTES || begin >= GIVEN_BYTES)
		return 0;
	bpf_probe_read_kernel(to, n, g->bytes + begin);
	s->last_at[one_of(which)] = begin;
	return 0;
}

/* Whether the next bytes of what stands before the last components are the same. */
#define COMPARED_AT_ONCE 64
__noinline int is_same_part(__u32 at)
{
	struct file_syscall *s = syscall_of_thread();
	__u64 a[COMPARED_AT_ONCE / 8] = {}, b[COMPARED_AT_ONCE / 8] = {};
	__u64 n;

	if (!s)
		return 0;
	n = s->last_at[NEW_NAME] - at;
	if (n > COMPARED_AT_ONCE)
		n = COMPARED_AT_ONCE;
	opaque(n);
	if (n > COMPARED_AT_ONCE || bpf_probe_read_user(a, n, (void *)(s->asked.names[NEW_NAME] + at)) ||
	    bpf_probe_read_user(b, n, (void *)(s->asked.names[OLD_NAME] + at)))
		return 0;
	for (int i = 0; i < COMPARED_AT_ONCE / 8; i++) {
		if (a[i] != b[i])
			return 0;
	}
	return 1;
}

/* Whether all of it is, byte by byte: then they are in the same directory. */
__noinline int is_same_directory(void)
{
	struct file_syscall *s = syscall_of_thread();

	if (!s || s->asked.dfd != s->asked.old_dfd || s->last_at[NEW_NAME] != s->last_at[OLD_NAME] ||
	    !s->last[OLD_NAME][0])
		return 0;
	for (__u32 at = 0; at < GIVEN_BYTES; at += COMPARED_AT_ONCE) {
		if (at >= s->last_at[NEW_NAME])
			return 1;
		if (!is_same_part(at))
			return 0;
	}
	return 0;
}

/* ---- Witnesses ---- */

/* The caller's names, once the kernel has read them: before, their pages need not be there. */
__noinline int copy_names(void)
{
	struct file_syscall *s = syscall_of_thread();

	if (!s || s->last[NEW_NAME][0])
		return 0;
	copy_last(NEW_NAME);
	if (s->asked.kind == WIRE_FILE_RENAME || s->asked.kind == WIRE_FILE_LINK)
		copy_last(OLD_NAME);
	return 0;
}

#define ALIASES 16
static __always_inline struct dentry *alias_entry(struct hlist_node *node)
{
	return (void *)node - bpf_core_field_offset(struct dentry, d_u.d_alias);
}

/* The entry of an inode that has the call's name, but is not `skip`; 0: it has none. */
__noinline __u64 entry_named(__u64 of_inode, __u32 which, __u64 skip)
{
	struct inode *inode = (void *)of_inode;
	struct hlist_node *node = READ(inode, i_dentry.first);

	for (int i = 0; i < ALIASES && node; i++) {
		__u64 entry = (__u64)alias_entry(node);

		if (entry != skip && name_is(entry, which))
			return entry;
		node = READ_AT(struct hlist_node *, node);
	}
	return 0;
}

static __always_inline __u64 first_entry(struct inode *inode)
{
	struct hlist_node *node = READ(inode, i_dentry.first);

	return node ? (__u64)alias_entry(node) : 0;
}

static __always_inline __u64 parent_of(__u64 entry)
{
	struct dentry *dentry = (void *)entry;

	return (__u64)READ(dentry, d_parent);
}

static __always_inline void remember_name(struct file_syscall *s, struct witness *w)
{
	__u64 entry = 0;

	if (s->asked.kind == WIRE_FILE_RENAME) {
		entry = entry_named(w->inode, OLD_NAME, 0);
		w->is_old = entry != 0;
	}
	if (entry)
		w->is_new = name_is(entry, NEW_NAME);
	else
		w->is_new = (entry = entry_named(w->inode, NEW_NAME, 0)) != 0;
	if (!entry)
		return;
	w->parent = parent_of(entry);
	w->parent_inode = (__u64)inode_of(w->parent);
}

/* Some steps along a directory's entries, from s->child on: the first that has the call's name, and an inode; 0: none
 * yet. */
#define CHILDREN_AT_ONCE 8
__noinline __u64 try_children(__u32 which)
{
	struct file_syscall *s = syscall_of_thread();
	struct hlist_node *node;

	if (!s)
		return 0;
	node = (void *)s->child;
	for (int i = 0; i < CHILDREN_AT_ONCE && node; i++) {
		struct dentry *dentry = (void *)node - bpf_core_field_offset(struct dentry, d_sib);

		if (name_is((__u64)dentry, which) && READ(dentry, d_inode))
			return (__u64)dentry;
		node = READ_AT(struct hlist_node *, node);
	}
	s->child = (__u64)node;
	return 0;
}

/* More of them. */
#define CHILDREN_IN_TURN 64
__noinline __u64 try_more_children(__u32 which)
{
	struct file_syscall *s = syscall_of_thread();
	__u64 found = 0;

	for (int i = 0; i < CHILDREN_IN_TURN / CHILDREN_AT_ONCE && !found && s && s->child; i++)
		found = try_children(which);
	return found;
}

/* The entry of a directory by the call's name, as far as the kernel holds it in memory. The latest are first: what the
 * call itself looked up is found at once. 0: none, or the directory has very many. */
#define CHILDREN_TRIED 1024
__noinline __u64 child_named(__u64 of_directory, __u32 which)
{
	struct inode *directory = (void *)of_directory;
	struct file_syscall *s = syscall_of_thread();
	struct dentry *entry = (void *)first_entry(directory);
	__u64 found = 0;

	if (!s || !entry)
		return 0;
	s->child = (__u64)READ(entry, d_children.first);
	for (int i = 0; i < CHILDREN_TRIED / CHILDREN_IN_TURN && !found && s->child; i++)
		found = try_more_children(which);
	return found;
}

static __always_inline void forget_witnesses(struct file_syscall *s)
{
	for (int i = 0; i < WITNESSES; i++)
		s->witnesses[i].inode = 0;
	s->count = 0;
}

__noinline int is_witness(__u64 inode)
{
	struct file_syscall *s = syscall_of_thread();

	if (!s || !inode)
		return false;
	for (int i = 0; i < WITNESSES; i++) {
		if (s->witnesses[i].inode == inode)
			return true;
	}
	return false;
}

static __always_inline bool removes_a_name(__u32 kind)
{
	return kind == WIRE_FILE_DELETE || kind == WIRE_FILE_RMDIR || kind == WIRE_FILE_RENAME;
}

static __always_inline void add_witness(struct file_syscall *s, struct inode *inode)
{
	struct witness *w;
	__u64 count = s->count;

	opaque(count);
	if (count >= WITNESSES)
		return;
	w = &s->witnesses[count];
	s->count = count + 1;
	w->inode = (__u64)inode;
	w->ino = READ(inode, i_ino);
	w->dev = inode_device(inode);
	w->mode = READ(inode, i_mode);
	w->uid = READ(inode, i_uid.val);
	w->gid = READ(inode, i_gid.val);
	w->size = READ(inode, i_size);
	copy_names();
	if (removes_a_name(s->asked.kind))
		remember_name(s, w);
}

static __always_inline bool is_dir_inode(struct inode *inode)
{
	return (READ(inode, i_mode) & S_IFMT) == S_IFDIR;
}

/* What the thread's call touched, as witnessed() left it. */
__noinline int add_touched(void)
{
	struct file_syscall *s = syscall_of_thread();
	struct inode *inode, *removed;

	if (!s || is_witness(s->touched))
		return 0;
	inode = (void *)s->touched;
	/* An overlay's call touches its layers, too, which may be mounted where the process sees them; no other call
	 * touches an overlay. */
	if (READ(inode, i_sb, s_magic) == OVERLAYFS_SUPER_MAGIC) {
		if (!s->on_overlay)
			forget_witnesses(s);
		s->on_overlay = 1;
	} else if (s->on_overlay) {
		return 0;
	}
	add_witness(s, inode);
	/* What only a lower layer has gets no new change time when it is removed or replaced, but its directory does,
	 * and still has it then. */
	if (s->on_overlay && removes_a_name(s->asked.kind) && is_dir_inode(inode)) {
		removed = inode_of(child_named((__u64)inode, NEW_NAME));
		if (removed && !is_witness((__u64)removed))
			add_witness(s, removed);
	}
	return 0;
}

static __always_inline int witnessed(struct inode *inode)
{
	struct file_syscall *s = syscall_of_thread();

	if (!s || s->asked.kind == WIRE_FILE_OPEN_WRITE || s->asked.fd >= 0)
		return 0;
	/* To the verifier the argument is more than a number, which is all that functions take. */
	s->touched = (__u64)inode;
	return add_touched();
}
