// SPDX-License-Identifier: Apache-2.0
// namespace_calls LOG DIR MODE: does what the namespace family tells, and logs each with what the event must say. MODE:
// unshare, setns, mount, new_api, pivot, chroot. Calls that fail lie between: they must not be told.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "folder.h"
#include "truth.h"

// <sys/mount.h> and <linux/mount.h> do not go together everywhere.
int mount(const char* source, const char* target, const char* type, unsigned long flags, const void* data);
int umount2(const char* target, int flags);

#define MNT_DETACH 2
#define UMOUNT_NOFOLLOW 8

static void own_mounts(void) {
  if (unshare(CLONE_NEWNS)) truth_skip("a mount namespace is refused");
  TRUTH_CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

// ---- unshare

static void leave(int flags, const char* names) {
  char before[1024];
  snprintf(before, sizeof(before), "%s", truth_namespaces("nightjar.ns_before"));
  TRUTH_CHECK(unshare(flags));
  truth_told("unshare", "%s,%s,\"nightjar.clone.flags\":[%s]", before, truth_namespaces("nightjar.ns"), names);
}

static void* leave_in_a_thread(void* unused) {
  leave(CLONE_NEWUTS, "\"CLONE_NEWUTS\"");
  return unused;
}

// pthread_join comes back shortly before the kernel has let go of the thread, and a process of two may leave neither
// its pid nor its user namespace. The links of /proc/self/task are its threads and two more.
static void wait_until_alone(void) {
  struct stat st;
  do {
    if (stat("/proc/self/task", &st)) truth_die("/proc/self/task");
  } while (st.st_nlink > 3);
}

static void unshare_mode(void) {
  leave(CLONE_FS, "\"CLONE_FS\"");
  leave(CLONE_NEWUTS | CLONE_NEWIPC, "\"CLONE_NEWUTS\",\"CLONE_NEWIPC\"");
  leave(CLONE_NEWNET, "\"CLONE_NEWNET\"");
  // Only the calling thread changes.
  pthread_t thread;
  if (pthread_create(&thread, NULL, leave_in_a_thread, NULL) || pthread_join(thread, NULL)) truth_die("thread");
  wait_until_alone();
  leave(CLONE_NEWPID, "\"CLONE_NEWPID\"");
  leave(CLONE_NEWNS | CLONE_NEWCGROUP, "\"CLONE_NEWNS\",\"CLONE_NEWCGROUP\"");
  if (unshare(0x12345) != -1) truth_die("unshare of nonsense worked");
  leave(CLONE_NEWUSER, "\"CLONE_NEWUSER\"");
}

// ---- setns

static void enter(int fd, int flags, const char* names) {
  char before[1024];
  snprintf(before, sizeof(before), "%s", truth_namespaces("nightjar.ns_before"));
  if (syscall(SYS_setns, fd, flags)) truth_die(names);
  truth_told("setns", "%s,%s,\"nightjar.clone.flags\":[%s]", before, truth_namespaces("nightjar.ns"), names);
}

static int ns_of(pid_t pid, const char* name) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) truth_die(path);
  return fd;
}

static pid_t child_in(unsigned long flags) {
  int gate[2];
  TRUTH_CHECK(pipe2(gate, O_CLOEXEC));
  pid_t pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  if (pid < 0) truth_skip("new namespaces are refused");
  if (!pid) {
    char end;
    close(gate[1]);
    if (read(gate[0], &end, 1)) _exit(1);
    _exit(0);
  }
  close(gate[0]);  // gate[1] stays open: the child lives as long as this process
  return pid;
}

static void setns_mode(void) {
  pid_t other = child_in(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID);
  enter(ns_of(other, "uts"), CLONE_NEWUTS, "\"CLONE_NEWUTS\"");
  enter(ns_of(other, "net"), 0, "\"CLONE_NEWNET\"");
  enter(ns_of(other, "pid"), 0, "\"CLONE_NEWPID\"");
  if (syscall(SYS_setns, ns_of(other, "ipc"), CLONE_NEWUTS) != -1) truth_die("setns of the wrong kind worked");
  if (syscall(SYS_setns, -1, 0) != -1) truth_die("setns of nothing worked");
  // Several at once, by pidfd (5.8).
  int pidfd = (int)syscall(SYS_pidfd_open, other, 0);
  if (pidfd >= 0) enter(pidfd, CLONE_NEWNS | CLONE_NEWIPC, "\"CLONE_NEWNS\",\"CLONE_NEWIPC\"");
}

// ---- mounts

static void mount_mode(void) {
  own_mounts();
  truth_told("unshare", "\"nightjar.clone.flags\":[\"CLONE_NEWNS\"]");
  truth_told("mount", "\"nightjar.mount.target\":\"/\",\"nightjar.mount.flags\":[\"MS_REC\",\"MS_PRIVATE\"]");
  make("a");
  make("b");
  TRUTH_CHECK(mount("a source", at("a"), "tmpfs", MS_NOSUID | MS_NODEV, "mode=700"));
  truth_told("mount",
             "\"nightjar.mount.target\":\"%s\",\"nightjar.mount.source\":\"a source\",\"nightjar.mount.fstype\":"
             "\"tmpfs\",\"nightjar.mount.flags\":[\"MS_NOSUID\",\"MS_NODEV\"]",
             at("a"));
  make("a/in it");
  if (!mount("x", at("missing"), "tmpfs", 0, NULL) || !mount("x", at("b"), "no such type", 0, NULL) ||
      !umount2(at("b"), 0))
    truth_die("a call that must fail worked");
  // A relative source and a relative target.
  TRUTH_CHECK(chdir(at("a")));
  TRUTH_CHECK(mount("in it", "../b", NULL, MS_BIND, NULL));
  truth_told("mount",
             "\"nightjar.mount.target\":\"%s\",\"nightjar.mount.source\":\"%s\",\"nightjar.mount.flags\":[\"MS_BIND\"]",
             at("b"), at("a/in it"));
  TRUTH_CHECK(mount(NULL, at("b"), NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
  truth_told("mount",
             "\"nightjar.mount.target\":\"%s\",\"nightjar.mount.flags\":[\"MS_RDONLY\",\"MS_REMOUNT\",\"MS_BIND\"]",
             at("b"));
  TRUTH_CHECK(umount2(at("b"), UMOUNT_NOFOLLOW));
  truth_told("umount", "\"nightjar.mount.target\":\"%s\",\"nightjar.mount.flags\":[\"UMOUNT_NOFOLLOW\"]", at("b"));
  make("c");
  TRUTH_CHECK(chdir("/"));
  TRUTH_CHECK(mount(at("a"), at("c"), NULL, MS_MOVE, NULL));
  truth_told("mount",
             "\"nightjar.mount.target\":\"%s\",\"nightjar.mount.source\":\"%s\",\"nightjar.mount.flags\":[\"MS_MOVE\"]",
             at("c"), at("a"));
  TRUTH_CHECK(umount2(at("c"), MNT_DETACH));
  truth_told("umount", "\"nightjar.mount.target\":\"%s\",\"nightjar.mount.flags\":[\"MNT_DETACH\"]", at("c"));
}

static void new_api_mode(void) {
  own_mounts();
  truth_told("unshare", "\"nightjar.clone.flags\":[\"CLONE_NEWNS\"]");
  truth_told("mount", "\"nightjar.mount.target\":\"/\"");
  make("a");
  make("b");
  make("c");
  int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (fs < 0) truth_skip("kernel lacks fsopen");
  TRUTH_CHECK(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", "by hand", 0));
  TRUTH_CHECK(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
  int made = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
  TRUTH_CHECK(made);
  if (!syscall(SYS_move_mount, made, "", AT_FDCWD, at("missing"), MOVE_MOUNT_F_EMPTY_PATH))
    truth_die("a move to nowhere worked");
  TRUTH_CHECK(syscall(SYS_move_mount, made, "", AT_FDCWD, at("a"), MOVE_MOUNT_F_EMPTY_PATH));
  truth_told("move_mount",
             "\"nightjar.mount.target\":\"%s\",\"nightjar.mount.flags\":[\"MOVE_MOUNT_F_EMPTY_PATH\"],"
             "\"?nightjar.mount.source\":\"by hand\",\"?nightjar.mount.fstype\":\"tmpfs\"",
             at("a"));
  int tree = (int)syscall(SYS_open_tree, AT_FDCWD, at("a"), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  TRUTH_CHECK(tree);
  TRUTH_CHECK(syscall(SYS_move_mount, tree, "", AT_FDCWD, at("b"), MOVE_MOUNT_F_EMPTY_PATH));
  truth_told("move_mount", "\"nightjar.mount.target\":\"%s\"", at("b"));
  TRUTH_CHECK(syscall(SYS_move_mount, AT_FDCWD, at("b"), AT_FDCWD, at("c"), 0));
  truth_told("move_mount",
             "\"nightjar.mount.target\":\"%s\",\"nightjar.mount.source\":\"%s\",\"nightjar.mount.flags\":[]", at("c"),
             at("b"));
}

static void pivot_mode(void) {
  own_mounts();
  truth_told("unshare", "\"nightjar.clone.flags\":[\"CLONE_NEWNS\"]");
  truth_told("mount", "\"nightjar.mount.target\":\"/\"");
  make("root");
  TRUTH_CHECK(mount("new root", at("root"), "tmpfs", 0, NULL));
  truth_told("mount", "\"nightjar.mount.target\":\"%s\"", at("root"));
  make("root/old");
  if (!syscall(SYS_pivot_root, at("root"), at("missing"))) truth_die("pivot_root to nowhere worked");
  char root[4200], old[4200];
  snprintf(root, sizeof(root), "%s", at("root"));
  snprintf(old, sizeof(old), "%s", at("root/old"));
  TRUTH_CHECK(syscall(SYS_pivot_root, root, old));
  truth_told("pivot_root", "\"nightjar.mount.target\":\"%s\",\"nightjar.mount.put_old\":\"%s\"", root, old);
  TRUTH_CHECK(chdir("/"));
  TRUTH_CHECK(umount2("/old", MNT_DETACH));
  truth_told("umount", "\"nightjar.mount.target\":\"/old\"");
}

static void chroot_mode(void) {
  make("root");
  if (!chroot(at("missing"))) truth_die("chroot to nowhere worked");
  TRUTH_CHECK(chroot(at("root")));
  truth_told("chroot", "\"nightjar.mount.target\":\"%s\"", at("root"));
}

int main(int argc, char** argv) {
  if (argc != 4) return 98;
  truth_open(argv[1]);
  if (!realpath(argv[2], dir)) truth_die(argv[2]);
  static const struct {
    const char* name;
    void (*run)(void);
  } modes[] = {{"unshare", unshare_mode}, {"setns", setns_mode}, {"mount", mount_mode},
               {"new_api", new_api_mode}, {"pivot", pivot_mode}, {"chroot", chroot_mode}};
  for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
    if (strcmp(argv[3], modes[i].name)) continue;
    modes[i].run();
    return 0;
  }
  return 98;
}
