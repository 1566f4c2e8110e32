// SPDX-License-Identifier: Apache-2.0
// ending LOG MODE: a child process ends in the way that MODE names; the parent logs what wait4(2) says of it.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "truth.h"

static const char* mode;

static void core_limit(rlim_t size) {
  struct rlimit limit = {size, size};
  setrlimit(RLIMIT_CORE, &limit);
}

static void pause_ms(int milliseconds) {
  usleep((useconds_t)milliseconds * 1000);
}

static void* worker(void* unused) {
  if (!strcmp(mode, "worker_exit_group")) {
    pause_ms(20);
    _exit(41);
  }
  if (!strcmp(mode, "leader_first_exit")) {
    pause_ms(400);
    truth("\"t\":\"last\",\"at\":%lld", (long long)truth_now());
    exit(43);
  }
  if (!strcmp(mode, "leader_first_threads_return")) {
    pause_ms(400);
    truth("\"t\":\"last\",\"at\":%lld", (long long)truth_now());
    syscall(SYS_exit, 9);
  }
  for (;;) pause();
  return unused;
}

static void start(int count) {
  for (int i = 0; i < count; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, worker, NULL)) truth_die("pthread_create");
  }
}

static void bad_system_call(void) {
  struct sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof(rules) / sizeof(rules[0]), rules};
  TRUTH_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  TRUTH_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
  syscall(SYS_getpgid, 0);
}

static void touch_null(void) {
  volatile int* volatile nothing = NULL;
  *nothing = 1;
}

static void end(void) {
  core_limit(!strcmp(mode, "sigsegv_core") ? 1 << 24 : 0);
  if (!strcmp(mode, "return_0")) exit(0);
  if (!strcmp(mode, "return_255")) exit(255);
  if (!strcmp(mode, "exit_wide")) _exit(0x1234);  // only 0x34 remains
  if (!strcmp(mode, "worker_exit_group")) {
    start(7);
    for (;;) pause();
  }
  if (!strcmp(mode, "leader_first_exit") || !strcmp(mode, "leader_first_threads_return")) {
    start(1);
    truth("\"t\":\"leader\",\"at\":%lld", (long long)truth_now());
    syscall(SYS_exit, 5);
  }
  if (!strcmp(mode, "kill_threads")) {
    start(31);
    kill(getpid(), SIGKILL);
  }
  if (!strcmp(mode, "sigkill")) kill(getpid(), SIGKILL);
  if (!strcmp(mode, "sigterm")) kill(getpid(), SIGTERM);
  if (!strcmp(mode, "realtime_signal")) kill(getpid(), 64);
  if (!strncmp(mode, "sigsegv", 7)) touch_null();
  if (!strcmp(mode, "sigabrt")) abort();
  if (!strcmp(mode, "seccomp")) bad_system_call();
  _exit(98);
}

int main(int argc, char** argv) {
  if (argc != 3) return 98;
  truth_open(argv[1]);
  mode = argv[2];
  if (!strcmp(mode, "sigsegv_core")) {
    char pattern[256] = "";
    struct rlimit limit;
    int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY);
    if (fd < 0 || read(fd, pattern, sizeof(pattern) - 1) <= 0) truth_skip("core_pattern cannot be read");
    close(fd);
    if (strchr(pattern, '/') || strchr(pattern, '|')) truth_skip("core_pattern is not a plain file name");
    // The limit of the parent binds the child.
    if (getrlimit(RLIMIT_CORE, &limit) || limit.rlim_max < (1 << 24)) truth_skip("RLIMIT_CORE is too low");
  }
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) end();
  truth_wait("end", pid);
  return 0;
}
