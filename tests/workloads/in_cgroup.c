// SPDX-License-Identifier: Apache-2.0
// in_cgroup LOG CGROUP PROGRAM [ARG...]: moves a child into the cgroup directory CGROUP, which executes PROGRAM ARG...
// and is waited for. {"t":"cgroup","id":inode of the directory}.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "truth.h"

int main(int argc, char** argv) {
  if (argc < 4) return 98;
  truth_open(argv[1]);
  truth_inherit();
  struct stat st;
  TRUTH_CHECK(stat(argv[2], &st));
  truth("\"t\":\"cgroup\",\"id\":%llu", (unsigned long long)st.st_ino);
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) {
    char path[8192];
    snprintf(path, sizeof(path), "%s/cgroup.procs", argv[2]);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) truth_die(path);
    close(fd);
    execv(argv[3], argv + 3);
    truth_die(argv[3]);
  }
  return truth_wait("end", pid) ? 99 : 0;
}
