// SPDX-License-Identifier: Apache-2.0
// terminal LOG REPORT MODE: tty: a child in a session of its own, with a new pseudo-terminal as its controlling one,
// executes REPORT; none: a child in a session without a terminal. {"t":"tty","major":..,"minor":..}: st_rdev.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "truth.h"

int main(int argc, char** argv) {
  if (argc != 4) return 98;
  truth_open(argv[1]);
  truth_inherit();
  int with_tty = !strcmp(argv[3], "tty");
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || grantpt(master) || unlockpt(master)) truth_skip("no pseudo-terminal");
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) {
    TRUTH_CHECK(setsid());
    if (with_tty) {
      struct stat st;
      int slave = open(ptsname(master), O_RDWR | O_CLOEXEC);
      if (slave < 0) truth_die("open the terminal");
      TRUTH_CHECK(ioctl(slave, TIOCSCTTY, 0));
      TRUTH_CHECK(fstat(slave, &st));
      truth("\"t\":\"tty\",\"major\":%u,\"minor\":%u", major(st.st_rdev), minor(st.st_rdev));
    }
    // A second process, so that the leader of the session and the acting process differ.
    pid_t inner = fork();
    if (inner < 0) truth_die("fork");
    if (!inner) {
      execl(argv[2], "in-session", NULL);
      _exit(97);
    }
    truth("\"t\":\"session\",\"pid\":%d,\"leader\":%d", inner, getpid());
    _exit(truth_wait("inner", inner) ? 99 : 0);
  }
  return truth_wait("end", pid) ? 99 : 0;
}
