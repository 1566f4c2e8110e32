// SPDX-License-Identifier: Apache-2.0
// exec_storm LOG PARENTS CHILDREN PROGRAM EXECS: PARENTS processes start CHILDREN children in all (vfork and fork in
// turn), each of which executes PROGRAM INDEX; at most 8 of one parent run at once. With EXECS 3, a child executes
// itself as "again" twice before PROGRAM: exec_storm --again N PROGRAM INDEX.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/wait.h>

#include "truth.h"

enum { at_once = 8 };

static void reap(int* running) {
  int status;
  pid_t pid = wait(&status);
  if (pid < 0) truth_die("wait");
  (*running)--;
  truth("\"t\":\"end\",\"pid\":%d,\"ppid\":%d,\"code\":%d", pid, getpid(),
        WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

static const char* program;
static const char* self = "/proc/self/exe";
static int execs;

static void execute(const char* index, const char* again) {
  if (execs == 1) {
    execl(program, "tiny", index, NULL);
  } else {
    execl(self, "again", "--again", again, program, index, NULL);
  }
  _exit(127);
}

// A function of its own: nothing that lives on after vfork() may change in the child.
static __attribute__((noinline)) pid_t start(int number) {
  char index[16], again[16];
  snprintf(index, sizeof(index), "%d", number);
  snprintf(again, sizeof(again), "%d", execs - 1);
  if (number % 2) {
    pid_t pid = vfork();
    if (!pid) execute(index, again);
    return pid;
  }
  pid_t pid = fork();
  if (!pid) execute(index, again);
  return pid;
}

static void storm(int number, int parents, int children) {
  int running = 0;
  for (int i = number; i < children; i += parents) {
    while (running >= at_once) reap(&running);
    pid_t pid = start(i);
    if (pid < 0) truth_die("fork");
    running++;
    truth("\"t\":\"start\",\"pid\":%d,\"ppid\":%d,\"index\":%d", pid, getpid(), i);
  }
  while (running) reap(&running);
}

int main(int argc, char** argv) {
  if (argc == 5 && !strcmp(argv[1], "--again")) {
    char left[16];
    snprintf(left, sizeof(left), "%d", atoi(argv[2]) - 1);
    if (atoi(argv[2]) > 1) execl("/proc/self/exe", "again", "--again", left, argv[3], argv[4], NULL);
    execl(argv[3], "tiny", argv[4], NULL);
    return 127;
  }
  if (argc != 6) return 98;
  truth_open(argv[1]);
  int parents = atoi(argv[2]);
  program = argv[4];
  execs = atoi(argv[5]);
  for (int i = 0; i < parents; i++) {
    pid_t pid = fork();
    if (pid < 0) truth_die("fork");
    if (!pid) {
      storm(i, parents, atoi(argv[3]));
      _exit(0);
    }
    truth("\"t\":\"parent\",\"pid\":%d,\"ppid\":%d", pid, getpid());
  }
  int status, bad = 0;
  while (wait(&status) > 0) bad |= status;
  truth("\"t\":\"self\",\"pid\":%d", getpid());
  return bad ? 99 : 0;
}
