// SPDX-License-Identifier: Apache-2.0
// tree LOG TINY: a process tree that lives until its stdin ends. Starts a child and a grandchild that wait, logs
// {"t":"ready"}; for each byte on stdin it starts TINY NUMBER and waits for it (and the child starts another one);
// logs {"t":"did","pid":...,"index":...}.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/wait.h>

#include "truth.h"

static void start(const char* tiny, int index) {
  char number[16];
  snprintf(number, sizeof(number), "%d", index);
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) {
    execl(tiny, "tiny", number, NULL);
    _exit(127);
  }
  int status;
  waitpid(pid, &status, 0);
  truth("\"t\":\"did\",\"pid\":%d,\"ppid\":%d,\"index\":%d,\"code\":%d", pid, getpid(), index, WEXITSTATUS(status));
}

// The waiting child: does one thing for each byte that its parent passes on.
static void child(const char* tiny, int orders, int answers) {
  int keep[2];
  char byte;
  int index = 1000;
  TRUTH_CHECK(pipe(keep));
  pid_t grandchild = fork();
  if (grandchild < 0) truth_die("fork");
  if (!grandchild) {
    close(keep[1]);
    close(answers);
    truth("\"t\":\"grandchild\",\"pid\":%d,\"ppid\":%d", getpid(), getppid());
    if (read(keep[0], &byte, 1) != 0) _exit(95);
    _exit(11);
  }
  close(keep[0]);
  truth("\"t\":\"child\",\"pid\":%d,\"ppid\":%d", getpid(), getppid());
  while (read(orders, &byte, 1) == 1) {
    start(tiny, index++);
    if (write(answers, &byte, 1) != 1) _exit(95);
  }
  close(keep[1]);
  truth_wait("end", grandchild);
  _exit(13);
}

int main(int argc, char** argv) {
  if (argc != 3) return 98;
  truth_open(argv[1]);
  int orders[2], answers[2], index = 0;
  char byte;
  TRUTH_CHECK(pipe(orders));
  TRUTH_CHECK(pipe(answers));
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) {
    close(orders[1]);
    close(answers[0]);
    child(argv[2], orders[0], answers[1]);
  }
  close(orders[0]);
  close(answers[1]);
  usleep(100000);  // let the grandchild log itself first
  truth("\"t\":\"ready\",\"pid\":%d", getpid());
  while (read(0, &byte, 1) == 1) {
    start(argv[2], index++);
    if (write(orders[1], &byte, 1) != 1 || read(answers[0], &byte, 1) != 1) truth_die("child");
    truth("\"t\":\"round\",\"index\":%d", index);
  }
  close(orders[1]);
  truth_wait("end", pid);
  return 0;
}
