// SPDX-License-Identifier: Apache-2.0
// signal_self NUMBER: ends by that signal, without a core file.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/resource.h>

int main(int argc, char** argv) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  if (argc != 2) return 98;
  signal(atoi(argv[1]), SIG_DFL);
  kill(getpid(), atoi(argv[1]));
  return 98;
}
