// SPDX-License-Identifier: Apache-2.0
// exec_thread LOG REPORT MODE: "exec": a child makes 5 threads, and one of them, not the leader, executes REPORT.
// "fork": a thread that is not the leader forks a child which executes REPORT (its parent is the process, not the
// thread).
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <sys/syscall.h>

#include "truth.h"

static const char* report;
static const char* mode;

static void* idle(void* unused) {
  for (;;) pause();
  return unused;
}

static void* act(void* unused) {
  truth("\"t\":\"thread\",\"pid\":%d,\"tid\":%d", getpid(), (int)syscall(SYS_gettid));
  if (!strcmp(mode, "exec")) {
    execl(report, "from-thread", NULL);
    truth_die(report);
  }
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) {
    execl(report, "from-thread", NULL);
    _exit(97);
  }
  _exit(truth_wait("grandchild", pid) ? 99 : 0);
  return unused;
}

int main(int argc, char** argv) {
  if (argc != 4) return 98;
  truth_open(argv[1]);
  truth_inherit();
  report = argv[2];
  mode = argv[3];
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) {
    pthread_t thread;
    for (int i = 0; i < 5; i++) {
      if (pthread_create(&thread, NULL, i == 3 ? act : idle, NULL)) truth_die("pthread_create");
    }
    for (;;) pause();
  }
  return truth_wait("end", pid) ? 99 : 0;
}
