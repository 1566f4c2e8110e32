// SPDX-License-Identifier: Apache-2.0
// scripts LOG DIR REPORT LEVELS [HOW]: makes a chain of LEVELS scripts, s1 "#!s2", s2 "#!s3", ..., the last "#!REPORT",
// and executes s1 in a child. {"t":"script","level":n} is the stat of each; {"t":"failed","errno":...} when the kernel
// refuses. HOW: relative (run ./s1), relative_interpreter ("#!./x"), argument ("#!REPORT -x y"), fexecve, long (paths
// of more than 256 bytes), crlf, no_newline.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "truth.h"

extern char** environ;

static const char* how = "";
static int is(const char* name) {
  return !strcmp(how, name);
}

static void script(const char* path, const char* interpreter) {
  char text[PATH_MAX + 64];
  const char* end = is("no_newline") ? "" : is("crlf") ? "\r\n" : "\nexit 97\n";
  const char* argument = is("argument") ? " -x y  " : "";
  int size = snprintf(text, sizeof(text), "#!%s%s%s", interpreter, argument, end);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  if (fd < 0 || write(fd, text, (size_t)size) != size) truth_die(path);
  fchmod(fd, 0755);
  close(fd);
  truth_stat("script", path);
}

static void run(const char* first) {
  char* argv[] = {"zero", "one", "", "three", NULL};
  if (is("fexecve")) {
    int fd = open(first, O_RDONLY);  // the interpreter opens /dev/fd/N: not close-on-exec
    fexecve(fd, argv, environ);
  } else if (is("relative") || is("relative_interpreter")) {
    execv("./s1", argv);
  } else {
    execv(first, argv);
  }
  truth("\"t\":\"failed\",\"pid\":%d,\"errno\":%d", getpid(), errno);
  _exit(96);
}

int main(int argc, char** argv) {
  if (argc < 5) return 98;
  truth_open(argv[1]);
  truth_inherit();
  int levels = atoi(argv[4]);
  if (argc > 5) how = argv[5];
  char dir[PATH_MAX], path[PATH_MAX + 32], next[PATH_MAX + 32];
  TRUTH_CHECK(chdir(argv[2]));
  if (is("long")) {
    char name[201];
    memset(name, 'd', 200);
    name[200] = 0;
    TRUTH_CHECK(mkdir(name, 0755));
    TRUTH_CHECK(chdir(name));
    TRUTH_CHECK(mkdir(name, 0755));
    TRUTH_CHECK(chdir(name));
  }
  if (!getcwd(dir, sizeof(dir))) truth_die("getcwd");
  if (is("relative_interpreter")) TRUTH_CHECK(symlink(argv[3], "x"));
  if (is("crlf")) {
    char linked[32] = "./x\r";
    TRUTH_CHECK(symlink(argv[3], linked));
  }
  for (int level = levels; level >= 1; level--) {
    snprintf(path, sizeof(path), "%s/s%d", dir, level);
    snprintf(next, sizeof(next), "%s/s%d", dir, level + 1);
    const char* last = is("relative_interpreter") ? "./x" : is("crlf") ? "./x" : argv[3];
    script(path, level == levels ? last : next);
  }
  snprintf(path, sizeof(path), "%s/s1", dir);
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) run(path);
  truth_wait("end", pid);
  return 0;
}
