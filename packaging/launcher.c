// SPDX-License-Identifier: Apache-2.0
// The first program of the tarball: starts the agent with the C library that lies beside it, so that the machine's own
// may be older, newer, or another one. Linked statically; needs no shell and no /proc.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/auxv.h>

int main(int argc, char** argv) {
  char self[PATH_MAX];
  char path[4][PATH_MAX + 32];
  const char* const places[] = {"/lib/loader/nightjar", "/lib", "/lib/nightjar"};
  // The path that the kernel was given; realpath follows a link from /usr/local/bin.
  const char* given = (const char*)getauxval(AT_EXECFN);
  if (!given || !realpath(given, self)) {
    perror("nightjar: cannot find my own folder");
    return 1;
  }
  for (int up = 0; up < 2; up++) {
    char* slash = strrchr(self, '/');
    if (!slash) break;
    *slash = '\0';  // bin/nightjar -> bin -> the folder
  }
  for (int i = 0; i < 3; i++) snprintf(path[i], sizeof(path[i]), "%s%s", self, places[i]);
  char** arguments = calloc((size_t)argc + 7, sizeof(char*));
  if (!arguments) return 1;
  int n = 0;
  arguments[n++] = path[0];
  arguments[n++] = "--argv0";
  arguments[n++] = argc > 0 ? argv[0] : "nightjar";
  arguments[n++] = "--library-path";
  arguments[n++] = path[1];
  arguments[n++] = path[2];
  for (int i = 1; i < argc; i++) arguments[n++] = argv[i];
  execv(path[0], arguments);
  perror(path[0]);
  return 1;
}
