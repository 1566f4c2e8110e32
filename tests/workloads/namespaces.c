// SPDX-License-Identifier: Apache-2.0
// namespaces LOG REPORT MODE: a child in new namespaces executes REPORT. MODE: all (clone with every flag, as root),
// user (clone with a user namespace, ids mapped, /proc mounted anew: like `unshare -Urpf --mount-proc`, as uid 65534),
// nested (a pid namespace in a pid namespace), unshare (unshare(CLONE_NEWPID) and fork).
// {"t":"child","pid":...}: the pid in the namespace of this program, which is the root one.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "truth.h"

#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif

static const char* report;

static pid_t raw_clone(unsigned long flags) {
  return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static void mount_proc(void) {
  TRUTH_CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
  TRUTH_CHECK(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
}

static void put(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) truth_die(path);
  close(fd);
}

static void execute(const char* name) {
  execl(report, name, "inside", NULL);
  _exit(97);
}

static void parent_side(const char* what, pid_t pid, int go) {
  truth("\"t\":\"%s\",\"pid\":%d,\"ppid\":%d", what, pid, getpid());
  if (go >= 0) close(go);
}

static void wait_for(int fd) {
  char end;
  if (read(fd, &end, 1) != 0) _exit(95);
}

static void inside_nested(void) {
  // Two levels: pid 1 of the outer one makes pid 1 of the inner one.
  pid_t inner = raw_clone(CLONE_NEWPID);
  if (inner < 0) truth_die("clone");
  if (!inner) execute("nested");
  int status;
  if (waitpid(inner, &status, 0) != inner) _exit(94);
  _exit(status ? 93 : 0);
}

int main(int argc, char** argv) {
  if (argc != 4) return 98;
  truth_open(argv[1]);
  truth_inherit();
  report = argv[2];
  const char* mode = argv[3];
  unsigned long flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;
  int gate[2];
  TRUTH_CHECK(pipe2(gate, O_CLOEXEC));
  truth_self("outside");
  if (!strcmp(mode, "user")) {
    flags |= CLONE_NEWUSER;
    if (geteuid() == 0) {
      TRUTH_CHECK(setresgid(65534, 65534, 65534));
      TRUTH_CHECK(setresuid(65534, 65534, 65534));
      TRUTH_CHECK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));  // or /proc/self/uid_map belongs to root
    }
  } else if (!strcmp(mode, "nested")) {
    flags = CLONE_NEWPID;
  } else if (!strcmp(mode, "unshare")) {
    flags = 0;
    if (unshare(CLONE_NEWPID)) truth_skip("unshare(CLONE_NEWPID) is refused");
  }
  uid_t uid = geteuid();
  gid_t gid = getegid();
  pid_t pid = raw_clone(flags);
  if (pid < 0) truth_skip(errno == EPERM || errno == ENOSPC ? "namespaces are refused to this user" : "clone failed");
  if (!pid) {
    char text[64];
    close(gate[1]);
    wait_for(gate[0]);
    if (flags & CLONE_NEWUSER) {
      put("/proc/self/setgroups", "deny");
      snprintf(text, sizeof(text), "0 %u 1", gid);
      put("/proc/self/gid_map", text);
      snprintf(text, sizeof(text), "0 %u 1", uid);
      put("/proc/self/uid_map", text);
    }
    truth_self("before");
    if (flags & CLONE_NEWNS) mount_proc();
    if (!strcmp(mode, "nested")) inside_nested();
    execute(mode);
  }
  parent_side("child", pid, gate[1]);
  return truth_wait("end", pid) ? 99 : 0;
}
