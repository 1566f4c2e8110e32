// SPDX-License-Identifier: Apache-2.0
// exec_chain LOG SELF DIR REPORT: one child process executes DIR/a, which executes DIR/b, which executes DIR/c (copies
// of this program and of REPORT) as fast as it can.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/sendfile.h>
#include <sys/stat.h>

#include "truth.h"

static void copy(const char* from, const char* to) {
  struct stat st;
  int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  if (in < 0 || out < 0 || fstat(in, &st)) truth_die(to);
  while (sendfile(out, in, NULL, (size_t)st.st_size) > 0) {
  }
  close(in);
  close(out);
}

int main(int argc, char** argv) {
  const char* name = strrchr(argv[0], '/');
  name = name ? name + 1 : argv[0];
  if (argc == 2 && !strcmp(name, "a")) return execl("./b", "b", "from-a", NULL);
  if (argc == 2 && !strcmp(name, "b")) return execl("./c", "c", "from-b", NULL);
  if (argc != 5) return 98;
  truth_open(argv[1]);
  truth_inherit();
  TRUTH_CHECK(chdir(argv[3]));
  copy(argv[2], "a");
  copy(argv[2], "b");
  copy(argv[4], "c");
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) {
    execl("./a", "a", "start", NULL);
    _exit(97);
  }
  return truth_wait("end", pid) ? 99 : 0;
}
