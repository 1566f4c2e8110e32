// SPDX-License-Identifier: Apache-2.0
// fork_storm LOG PARENTS CHILDREN: PARENTS processes, each bound to its own CPU, fork CHILDREN children in all; child
// number i ends with _exit(i % 256). Truth: each pid, its parent, its code as wait(2) told.
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/wait.h>

#include "truth.h"

static void bind_to(int number) {
  cpu_set_t all, one;
  CPU_ZERO(&one);
  if (sched_getaffinity(0, sizeof(all), &all)) return;
  number %= CPU_COUNT(&all);
  for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &all) || number--) continue;
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
    return;
  }
}

static void storm(int number, int parents, int children) {
  bind_to(number);
  for (int i = number; i < children; i += parents) {
    pid_t pid = fork();
    if (pid < 0) truth_die("fork");
    if (!pid) _exit(i % 256);
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) truth_die("waitpid");
    truth("\"t\":\"child\",\"pid\":%d,\"ppid\":%d,\"index\":%d,\"code\":%d", pid, getpid(), i, WEXITSTATUS(status));
  }
}

int main(int argc, char** argv) {
  if (argc != 4) return 98;
  truth_open(argv[1]);
  int parents = atoi(argv[2]), children = atoi(argv[3]);
  for (int i = 0; i < parents; i++) {
    pid_t pid = fork();
    if (pid < 0) truth_die("fork");
    if (!pid) {
      storm(i, parents, children);
      _exit(0);
    }
    truth("\"t\":\"parent\",\"pid\":%d,\"ppid\":%d", pid, getpid());
  }
  int status, bad = 0;
  while (wait(&status) > 0) bad |= status;
  truth("\"t\":\"self\",\"pid\":%d", getpid());
  return bad ? 99 : 0;
}
