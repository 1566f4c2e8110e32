// SPDX-License-Identifier: Apache-2.0
// exec_fails LOG DIR REPORT: one process makes five execs that fail (each logged with its errno and path), and then one
// that succeeds, whose data must be clean.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "truth.h"

extern char** environ;

static void attempt(const char* name, const char* path, char** argv) {
  execve(path, argv, environ);
  int error = errno;
  char* hex = truth_hex(path, (uintptr_t)path > 4096 ? strlen(path) : 0);
  truth("\"t\":\"failed\",\"name\":\"%s\",\"pid\":%d,\"errno\":%d,\"path\":\"%s\"", name, getpid(), error, hex);
  free(hex);
}

static void make(const char* path, int mode, const char* text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) truth_die(path);
  close(fd);
}

static void run(const char* report) {
  char* wrong[] = {"wrong", "stale argument", NULL};
  char* right[] = {"right", "clean", NULL};
  char* large[] = {"large", NULL, NULL};
  const size_t too_much = 33 * 4096;  // one argument may have 32 pages
  large[1] = malloc(too_much);
  if (!large[1]) truth_die("malloc");
  memset(large[1], 'L', too_much - 1);
  large[1][too_much - 1] = 0;
  attempt("ENOENT", "./does-not-exist", wrong);
  attempt("EACCES", "./not-executable", wrong);
  attempt("ENOEXEC", "./garbage", wrong);
  volatile uintptr_t bad = 1;
  attempt("EFAULT", (const char*)bad, wrong);
  attempt("E2BIG", report, large);
  attempt("ENOENT", "./no-interpreter", wrong);
  execve(report, right, environ);
  truth_die(report);
}

int main(int argc, char** argv) {
  if (argc != 4) return 98;
  truth_open(argv[1]);
  truth_inherit();
  TRUTH_CHECK(chdir(argv[2]));
  make("not-executable", 0644, "x");
  make("garbage", 0755, "\x01\x02\x03\x04 this is no program");
  make("no-interpreter", 0755, "#!/nonexistent/interpreter\n");
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) run(argv[3]);
  return truth_wait("end", pid) ? 99 : 0;
}
