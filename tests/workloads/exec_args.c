// SPDX-License-Identifier: Apache-2.0
// exec_args LOG REPORT MODE [SIZE]: executes REPORT with a peculiar argv, in a child. REPORT logs size, count and hash
// of what arrived, and the bytes themselves when they are few.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/syscall.h>

#include "truth.h"

extern char** environ;

// Arguments of 1 to 97 characters that differ from each other, SIZE bytes in all (terminators included).
static char** many(size_t size) {
  size_t room = size + 2, used = 0, count = 0;
  char** argv = calloc(room, sizeof(char*));
  if (!argv) truth_die("calloc");
  while (used < size) {
    size_t length = 1 + (count * 31) % 97;
    if (used + length + 1 > size) length = size - used - 1;
    char* one = malloc(length + 1);
    if (!one) truth_die("malloc");
    for (size_t i = 0; i < length; i++) one[i] = (char)('a' + (count + i * 7) % 26);
    one[length] = 0;
    argv[count++] = one;
    used += length + 1;
  }
  return argv;
}

// argv[0], and one argument so that all is SIZE bytes.
static char** one(size_t size) {
  char** argv = calloc(3, sizeof(char*));
  char* text = malloc(size);
  if (!argv || !text) truth_die("malloc");
  size_t length = size - 3;
  for (size_t i = 0; i < length; i++) text[i] = (char)('A' + i % 23);
  text[length] = 0;
  argv[0] = "r";
  argv[1] = text;
  return argv;
}

static void run(const char* report, const char* mode, size_t size) {
  char* nothing[] = {NULL};
  char* odd[] = {"odd",
                 "line\nbreak\r\n\ttab",
                 "",
                 "\xff\xfe invalid \xc3",
                 "\x1b[31mred\x1b[0m\a\b\x7f",
                 "\"quoted\" \\back\\slash {\"json\":true}",
                 "\xe2\x82\xac euro \xf0\x9f\xa6\x89 owl",
                 "\xed\xa0\x80 surrogate \xc0\x80 overlong \xf5\x80\x80\x80",
                 "\xef\xbf\xbd real replacement",
                 "\x01\x1f\xc2\x80\xe2\x80\xa8",
                 "",
                 NULL};
  char* empties[] = {"a", "", "b", "", NULL};
  char* all_empty[] = {"", "", "", NULL};
  char** argv = nothing;
  if (!strcmp(mode, "odd")) argv = odd;
  if (!strcmp(mode, "empties")) argv = empties;
  if (!strcmp(mode, "all_empty")) argv = all_empty;
  if (!strcmp(mode, "many")) argv = many(size);
  if (!strcmp(mode, "one")) argv = one(size);
  if (!strcmp(mode, "none")) {
    syscall(SYS_execve, report, nothing, environ);
  } else {
    execve(report, argv, environ);
  }
  truth_die(mode);
}

int main(int argc, char** argv) {
  if (argc < 4) return 98;
  truth_open(argv[1]);
  truth_inherit();
  size_t size = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
  if (size > 1000000) {
    // The stack limit bounds argv: a quarter of it.
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = 64 << 20;
    if (setrlimit(RLIMIT_STACK, &limit)) truth_skip("RLIMIT_STACK cannot be raised");
  }
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) run(argv[2], argv[3], size);
  return truth_wait("end", pid) ? 99 : 0;
}
