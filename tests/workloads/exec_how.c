// SPDX-License-Identifier: Apache-2.0
// exec_how LOG MODE DIR REPORT: executes a copy of REPORT (DIR/program) in the way that MODE names, in a child.
// {"t":"file"} is the stat of the file executed; {"t":"report"} comes from the program itself.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "truth.h"

extern char** environ;

static void copy_to(const char* from, int to) {
  char block[65536];
  ssize_t got;
  int fd = open(from, O_RDONLY | O_CLOEXEC);
  if (fd < 0) truth_die(from);
  while ((got = read(fd, block, sizeof(block))) > 0) {
    if (write(to, block, (size_t)got) != got) truth_die("write");
  }
  close(fd);
}

static int execveat_raw(int fd, const char* path, char** argv, int flags) {
  return (int)syscall(SYS_execveat, fd, path, argv, environ, flags);
}

static void run(const char* mode, const char* report) {
  char* argv[] = {"program", "one", "two words", NULL};
  if (!strcmp(mode, "absolute")) {
    char path[4096];
    if (!getcwd(path, sizeof(path) - 16)) truth_die("getcwd");
    strcat(path, "/program");
    execv(path, argv);
  } else if (!strcmp(mode, "relative")) {
    execv("./program", argv);
  } else if (!strcmp(mode, "parent_relative")) {
    TRUTH_CHECK(mkdir("sub", 0755));
    TRUTH_CHECK(chdir("sub"));
    execv("../sub/.././program", argv);
  } else if (!strcmp(mode, "symlink")) {
    TRUTH_CHECK(symlink("program", "link"));
    TRUTH_CHECK(symlink("link", "link2"));
    execv("./link2", argv);
  } else if (!strcmp(mode, "empty_path")) {
    int fd = open("program", O_RDONLY | O_CLOEXEC);
    execveat_raw(fd, "", argv, AT_EMPTY_PATH);
  } else if (!strcmp(mode, "o_path")) {
    int fd = open("program", O_PATH | O_CLOEXEC);
    execveat_raw(fd, "", argv, AT_EMPTY_PATH);
  } else if (!strcmp(mode, "directory")) {
    int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    TRUTH_CHECK(chdir("/"));
    execveat_raw(fd, "program", argv, 0);
  } else if (!strcmp(mode, "fexecve")) {
    int fd = open("program", O_RDONLY | O_CLOEXEC);
    fexecve(fd, argv, environ);
  } else if (!strcmp(mode, "memfd")) {
    int fd = memfd_create("nightjar test", MFD_CLOEXEC);
    if (fd < 0) truth_skip("kernel lacks memfd: memfd_create failed");
    copy_to(report, fd);
    fexecve(fd, argv, environ);
  } else if (!strcmp(mode, "deleted")) {
    int fd = open("program", O_RDONLY | O_CLOEXEC);
    TRUTH_CHECK(unlink("program"));
    fexecve(fd, argv, environ);
  } else if (!strcmp(mode, "hard_link_left")) {
    // Its name is gone, its inode is not: another link is left.
    int fd = open("program", O_RDONLY | O_CLOEXEC);
    TRUTH_CHECK(link("program", "other"));
    TRUTH_CHECK(unlink("program"));
    fexecve(fd, argv, environ);
  } else if (!strcmp(mode, "odd_name")) {
    TRUTH_CHECK(rename("program", "\xff na\nme \xc3\x28 \xe2\x82\xac"));
    execv("./\xff na\nme \xc3\x28 \xe2\x82\xac", argv);
  } else if (!strcmp(mode, "named_deleted")) {
    // A living file whose name ends as /proc marks dead ones.
    TRUTH_CHECK(rename("program", "program (deleted)"));
    execv("./program (deleted)", argv);
  } else if (!strcmp(mode, "long_name")) {
    char name[256];
    memset(name, 'n', 255);
    name[255] = 0;
    TRUTH_CHECK(rename("program", name));
    execv(name, argv);
  } else if (!strcmp(mode, "setgid")) {
    TRUTH_CHECK(chown("program", 0, 1237));
    TRUTH_CHECK(chmod("program", 02755));
    execv("./program", argv);
  }
  truth_die(mode);
}

int main(int argc, char** argv) {
  if (argc != 5) return 98;
  truth_open(argv[1]);
  truth_inherit();
  if (argv[4][0] != '/') return 98;
  TRUTH_CHECK(chdir(argv[3]));
  int fd = open("program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  if (fd < 0) truth_die("program");
  copy_to(argv[4], fd);
  fchmod(fd, 0755);
  close(fd);
  truth_stat("file", "program");
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) run(argv[2], argv[4]);
  return truth_wait("end", pid) ? 99 : 0;
}
