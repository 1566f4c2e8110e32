// SPDX-License-Identifier: Apache-2.0
// threads LOG COUNT [FORKS]: creates and joins COUNT threads, 16 at a time; with FORKS, that many of the threads also
// fork a child which executes nothing and exits 3, while the others are being created.
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/syscall.h>
#include <sys/wait.h>

#include "truth.h"

static void* idle(void* unused) {
  return unused;
}

static void* forks(void* unused) {
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) _exit(3);
  int status;
  waitpid(pid, &status, 0);
  truth("\"t\":\"child\",\"pid\":%d,\"ppid\":%d,\"tid\":%d,\"code\":%d", pid, getpid(), (int)syscall(SYS_gettid),
        WEXITSTATUS(status));
  return unused;
}

int main(int argc, char** argv) {
  if (argc < 3) return 98;
  truth_open(argv[1]);
  int count = atoi(argv[2]), to_fork = argc > 3 ? atoi(argv[3]) : 0, made = 0;
  while (made < count) {
    pthread_t group[16];
    int size = 0;
    for (; size < 16 && made < count; size++, made++) {
      if (pthread_create(&group[size], NULL, made < to_fork ? forks : idle, NULL)) truth_die("pthread_create");
    }
    while (size) pthread_join(group[--size], NULL);
  }
  truth("\"t\":\"threads\",\"pid\":%d,\"count\":%d", getpid(), made);
  return 0;
}
