// SPDX-License-Identifier: Apache-2.0
// resources LOG DIR: a child burns CPU in user and kernel mode, touches 48 MiB, writes and reads bytes; the parent logs
// its rusage. {"t":"bytes"}: what the child read and wrote by its own count.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/mman.h>

#include "truth.h"

static int64_t cpu_time(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static void work(const char* dir) {
  enum { touched = 48 << 20, block = 65536, blocks = 101 };
  volatile unsigned counter = 0;
  while (cpu_time() < 300000000) counter++;
  int zero = open("/dev/zero", O_RDONLY);
  char* memory = mmap(NULL, touched, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (zero < 0 || memory == MAP_FAILED) truth_die("resources");
  memset(memory, 1, touched);
  while (cpu_time() < 500000000) {
    for (int i = 0; i < 256; i++) getppid();
    if (read(zero, memory, block) != block) truth_die("read /dev/zero");
  }
  char path[4096];
  snprintf(path, sizeof(path), "%s/data", dir);
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) truth_die(path);
  for (int i = 0; i < blocks; i++) {
    if (write(fd, memory, block) != block) truth_die("write");
  }
  close(fd);
}

int main(int argc, char** argv) {
  if (argc != 3) return 98;
  truth_open(argv[1]);
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) {
    work(argv[2]);
    _exit(0);
  }
  truth_wait("end", pid);
  return 0;
}
