// SPDX-License-Identifier: Apache-2.0
// clones LOG REPORT MODE: ways of making a process. clone_parent: a child makes a sibling (CLONE_PARENT); vfork: vfork
// and exec; clone3: clone3(2) with CLONE_VM|CLONE_VFORK off, flags logged; raw_flags: clone(2) with several flags;
// fails: clones that fail, then one that does not; orphan: the parent of a process dies first; migrate: fork and exec
// while hopping between CPUs.
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "truth.h"

static pid_t raw_clone(unsigned long flags) {
  return (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
}

static void execute(const char* report) {
  execl(report, "cloned", NULL);
  _exit(97);
}

// glibc caches nothing of getpid() any more; a raw clone is safe as long as the child only makes system calls.
static int clone_parent(const char* report) {
  int tell[2];
  TRUTH_CHECK(pipe(tell));
  pid_t creator = fork();
  if (creator < 0) truth_die("fork");
  if (!creator) {
    pid_t sibling = raw_clone(CLONE_PARENT | SIGCHLD);
    if (sibling < 0) truth_die("clone");
    if (!sibling) execute(report);
    truth("\"t\":\"sibling\",\"pid\":%d,\"creator\":%d,\"ppid\":%d", sibling, getpid(), getppid());
    _exit(0);
  }
  int status, ended = 0;
  while (wait(&status) > 0) ended++;
  return ended == 2 ? 0 : 99;
}

static int with_vfork(const char* report) {
  pid_t pid = vfork();
  if (pid < 0) truth_die("vfork");
  if (!pid) execute(report);
  truth("\"t\":\"child\",\"pid\":%d,\"ppid\":%d", pid, getpid());
  return truth_wait("end", pid);
}

static int with_clone3(const char* report) {
  struct clone_args args = {.flags = CLONE_FS | CLONE_FILES, .exit_signal = SIGCHLD};
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
  if (pid < 0 && errno == ENOSYS) truth_skip("kernel lacks clone3: ENOSYS");
  if (pid < 0) truth_die("clone3");
  if (!pid) execute(report);
  truth("\"t\":\"child\",\"pid\":%d,\"ppid\":%d", pid, getpid());
  return truth_wait("end", pid);
}

static int raw_flags(const char* report) {
  pid_t pid = raw_clone(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_IO | SIGCHLD);
  if (pid < 0) truth_die("clone");
  if (!pid) execute(report);
  truth("\"t\":\"child\",\"pid\":%d,\"ppid\":%d", pid, getpid());
  return truth_wait("end", pid);
}

static void expect_failure(const char* name, long result) {
  if (result == 0) _exit(96);
  if (result > 0) truth_die("a clone that should fail did not");
  truth("\"t\":\"failed\",\"name\":\"%s\",\"errno\":%d", name, errno);
}

static int fails(const char* report) {
  expect_failure("thread without sighand", raw_clone(CLONE_THREAD | SIGCHLD));
  expect_failure("newns with fs", raw_clone(CLONE_NEWNS | CLONE_FS | SIGCHLD));
  struct clone_args args = {.flags = 1ULL << 62};
  expect_failure("clone3 with unknown flags", syscall(SYS_clone3, &args, sizeof(args)));
  pid_t limited = fork();
  if (limited < 0) truth_die("fork");
  if (!limited) {
    // A uid of its own, which already has its one process.
    struct rlimit limit = {1, 1};
    if (setrlimit(RLIMIT_NPROC, &limit) || setresgid(64123, 64123, 64123) || setresuid(64123, 64123, 64123)) _exit(95);
    expect_failure("RLIMIT_NPROC", fork());
    _exit(0);
  }
  truth_wait("limited", limited);
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) execute(report);
  truth("\"t\":\"child\",\"pid\":%d,\"ppid\":%d", pid, getpid());
  return truth_wait("end", pid);
}

static int orphan(const char* report) {
  int gate[2];
  TRUTH_CHECK(pipe(gate));
  pid_t parent = fork();
  if (parent < 0) truth_die("fork");
  if (!parent) {
    pid_t before = getpid();
    pid_t pid = fork();
    if (pid < 0) truth_die("fork");
    if (!pid) {
      char end;
      close(gate[1]);
      if (read(gate[0], &end, 1) != 0) _exit(95);
      for (int i = 0; i < 1000 && getppid() == before; i++) usleep(10000);
      truth("\"t\":\"orphan\",\"pid\":%d,\"ppid_before\":%d,\"ppid\":%d", getpid(), before, getppid());
      execute(report);
    }
    _exit(0);
  }
  truth_wait("parent", parent);
  close(gate[1]);  // now the orphan may go on; the tree outlives COMMAND
  return 0;
}

static int migrate(const char* report) {
  cpu_set_t all;
  if (sched_getaffinity(0, sizeof(all), &all) || CPU_COUNT(&all) < 2) truth_skip("one CPU only");
  for (int i = 0; i < 53; i++) {
    struct clone_args args = {.exit_signal = SIGCHLD};
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (pid < 0 && errno == ENOSYS) truth_skip("kernel lacks clone3: ENOSYS");
    if (pid < 0) truth_die("clone3");
    if (!pid) {
      char index[16];
      int skip = i % CPU_COUNT(&all);
      for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all) || skip--) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof(one), &one);
        break;
      }
      snprintf(index, sizeof(index), "hop-%d", i);
      execl(report, "cloned", index, NULL);
      _exit(97);
    }
    if (truth_wait("end", pid)) return 99;
  }
  return 0;
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    int (*run)(const char*);
  } modes[] = {{"clone_parent", clone_parent},
               {"vfork", with_vfork},
               {"clone3", with_clone3},
               {"raw_flags", raw_flags},
               {"fails", fails},
               {"orphan", orphan},
               {"migrate", migrate}};
  if (argc != 4) return 98;
  truth_open(argv[1]);
  truth_inherit();
  for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
    if (!strcmp(argv[3], modes[i].name)) return modes[i].run(argv[2]) ? 99 : 0;
  }
  return 98;
}
