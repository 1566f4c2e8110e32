// SPDX-License-Identifier: Apache-2.0
// deep_path LOG DIR REPORT MODE: cwd_root, cwd_deep (200 levels), cwd_deleted, cwd_long (more than 4096 bytes);
// path_long (the executable's path has more than 4096 bytes; executed as ./program from its directory),
// path_long_fexecve.
// {"t":"place","cwd":hex,"exe":hex}: the full paths by this program's own count.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/sendfile.h>
#include <sys/stat.h>

#include "truth.h"

extern char** environ;

static char full[65536];

static void descend(int levels, size_t length) {
  for (int level = 0; level < levels; level++) {
    char name[256];
    snprintf(name, sizeof(name), "%03d", level);
    for (size_t i = strlen(name); i < length; i++) name[i] = (char)('a' + (level + (int)i) % 26);
    name[length] = 0;
    TRUTH_CHECK(mkdir(name, 0755));
    TRUTH_CHECK(chdir(name));
    strcat(full, "/");
    strcat(full, name);
  }
}

static void copy(const char* from, const char* to) {
  struct stat st;
  int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  if (in < 0 || out < 0 || fstat(in, &st)) truth_die(to);
  while (sendfile(out, in, NULL, (size_t)st.st_size) > 0) {
  }
  close(in);
  close(out);
}

static void place(const char* cwd, const char* exe) {
  char* cwd_hex = truth_hex(cwd, strlen(cwd));
  char* exe_hex = truth_hex(exe, strlen(exe));
  truth("\"t\":\"place\",\"cwd\":\"%s\",\"exe\":\"%s\"", cwd_hex, exe_hex);
  free(cwd_hex);
  free(exe_hex);
}

static void run(const char* mode, const char* report) {
  char* argv[] = {"program", NULL};
  if (!strcmp(mode, "cwd_root")) {
    TRUTH_CHECK(chdir("/"));
    place("/", report);
  } else if (!strcmp(mode, "cwd_deep")) {
    descend(200, 4);
    place(full, report);
  } else if (!strcmp(mode, "cwd_long")) {
    descend(47, 97);
    place(full, report);
  } else if (!strcmp(mode, "cwd_deleted")) {
    descend(1, 7);
    char* name = strrchr(full, '/') + 1;
    char up[300];
    snprintf(up, sizeof(up), "../%s", name);
    TRUTH_CHECK(rmdir(up));
    place(full, report);
  } else {
    descend(47, 97);
    copy(report, "program");
    truth_stat("file", "program");
    char exe[65600];
    snprintf(exe, sizeof(exe), "%s/program", full);
    if (!strcmp(mode, "path_long_fexecve")) {
      int fd = open("program", O_RDONLY | O_CLOEXEC);
      TRUTH_CHECK(chdir("/"));
      place("/", exe);
      fexecve(fd, argv, environ);
    }
    place(full, exe);
    execv("./program", argv);
    truth_die("program");
  }
  execv(report, argv);
  truth_die(report);
}

int main(int argc, char** argv) {
  if (argc != 5) return 98;
  truth_open(argv[1]);
  truth_inherit();
  TRUTH_CHECK(chdir(argv[2]));
  if (!getcwd(full, sizeof(full))) truth_die("getcwd");
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) run(argv[4], argv[3]);
  return truth_wait("end", pid) ? 99 : 0;
}
