// SPDX-License-Identifier: Apache-2.0
// work serve: the workloads of bench/run. Reads lines "NAME COUNT COPIES" on stdin; for each, COPIES processes do the
// workload COUNT times each, side by side, and one line of JSON says how long it took and what CPU time it cost.
//   execl   a program executes itself COUNT times (what UnixBench's execl does)
//   spawn   vfork, exec, exit, wait
//   tcp     connect, accept, one byte, close, over loopback
//   file    create, write, close, unlink
//   call    getppid: what any system call pays
//   storm   COUNT rounds of eight calls of which each is one event, STORM_EVENTS a second (each copy)
//   crowd   COUNT processes that wait until stdin ends (COPIES is not used)
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char** environ;
static const char* self = "/proc/self/exe";

static void die(const char* what) {
  fprintf(stderr, "work: %s: %s\n", what, strerror(errno));
  _exit(1);
}

static void again(long left) {
  char text[24];
  snprintf(text, sizeof(text), "%ld", left);
  execl(self, "work", "execl", text, (char*)NULL);
  die("execl");
}

static void spawn(long count) {
  char* argv[] = {"work", "nothing", NULL};
  for (long i = 0; i < count; i++) {
    pid_t pid;
    if (posix_spawn(&pid, self, NULL, NULL, argv, environ) != 0) die("spawn");
    if (waitpid(pid, NULL, 0) != pid) die("wait");
  }
}

static void tcp(long count) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(at);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr*)&at, size) != 0 || listen(listener, 16) != 0) die("listen");
  if (getsockname(listener, (struct sockaddr*)&at, &size) != 0) die("getsockname");
  for (long i = 0; i < count; i++) {
    // Reset at close: no port stays behind in TIME_WAIT.
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    char byte = 1;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || connect(client, (struct sockaddr*)&at, size) != 0) die("connect");
    int server = accept(listener, NULL, NULL);
    if (server < 0) die("accept");
    if (write(client, &byte, 1) != 1 || read(server, &byte, 1) != 1) die("one byte");
    setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(client);
    close(server);
  }
  close(listener);
}

static void file(long count) {
  char name[64];
  snprintf(name, sizeof(name), "work.%d", getpid());
  static const char text[512];
  for (long i = 0; i < count; i++) {
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) die(name);
    if (write(fd, text, sizeof(text)) != (ssize_t)sizeof(text)) die("write");
    close(fd);
    if (unlink(name) != 0) die("unlink");
  }
}

static void call(long count) {
  for (long i = 0; i < count; i++) syscall(SYS_getppid);
}

#define STORM_EVENTS 50000
#define STORM_CALLS 8
#define STORM_SLEEPS 1000 /* a second: so much comes at once, not more */

static void storm_round(const char* a, const char* b, int fd, void* page) {
  if (rename(a, b) != 0 || rename(b, a) != 0) die("rename");
  if (fchmod(fd, 0600) != 0) die("fchmod");
  if (fchown(fd, getuid(), getgid()) != 0) die("fchown");
  if (futimens(fd, NULL) != 0) die("futimens");
  // A page that can be executed, and cannot again: the first of the two is an event.
  if (mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0 || mprotect(page, 4096, PROT_READ) != 0) die("mprotect");
  int memory = memfd_create("storm", MFD_CLOEXEC);
  if (memory < 0) die("memfd_create");
  close(memory);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bound < 0 || bind(bound, (struct sockaddr*)&at, sizeof(at)) != 0) die("bind");
  close(bound);
}

static void storm(long rounds) {
  const long a_sleep = STORM_EVENTS / STORM_CALLS / STORM_SLEEPS;
  char a[64], b[64];
  snprintf(a, sizeof(a), "storm.%d.a", getpid());
  snprintf(b, sizeof(b), "storm.%d.b", getpid());
  int fd = open(a, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  void* page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fd < 0 || page == MAP_FAILED) die("storm");
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (long i = 0; i < rounds; i++) {
    storm_round(a, b, fd, page);
    if ((i + 1) % a_sleep != 0) continue;
    next.tv_nsec += 1000000000L * STORM_CALLS * a_sleep / STORM_EVENTS;
    if (next.tv_nsec >= 1000000000L) next.tv_sec++, next.tv_nsec -= 1000000000L;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
  }
  close(fd);
  unlink(a);
}

static void one_copy(const char* name, long count) {
  if (!strcmp(name, "execl"))
    again(count);
  else if (!strcmp(name, "spawn"))
    spawn(count);
  else if (!strcmp(name, "tcp"))
    tcp(count);
  else if (!strcmp(name, "file"))
    file(count);
  else if (!strcmp(name, "call"))
    call(count);
  else if (!strcmp(name, "storm"))
    storm(count);
  else {
    fprintf(stderr, "work: no workload %s\n", name);
    _exit(2);
  }
  _exit(0);
}

static double seconds(struct timeval t) {
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void measure(const char* name, long count, int copies) {
  struct rusage before, after;
  struct timespec begin, end;
  int bad = 0, status;
  getrusage(RUSAGE_CHILDREN, &before);
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int i = 0; i < copies; i++) {
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (!pid) one_copy(name, count);
  }
  for (int i = 0; i < copies; i++) {
    if (wait(&status) < 0 || status) bad = 1;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  getrusage(RUSAGE_CHILDREN, &after);
  printf("{\"seconds\":%.6f,\"user\":%.6f,\"system\":%.6f,\"ok\":%s}\n",
         (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9,
         seconds(after.ru_utime) - seconds(before.ru_utime), seconds(after.ru_stime) - seconds(before.ru_stime),
         bad ? "false" : "true");
  fflush(stdout);
}

static void crowd(long count) {
  long made = 0;
  for (; made < count; made++) {
    pid_t pid = fork();
    if (pid < 0) break;
    if (!pid) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;) pause();
    }
  }
  printf("{\"made\":%ld}\n", made);
  fflush(stdout);
}

int main(int argc, char** argv) {
  if (argc == 2 && !strcmp(argv[1], "nothing")) return 0;
  if (argc == 3 && !strcmp(argv[1], "execl")) {
    long left = strtol(argv[2], NULL, 10);
    if (left > 0) again(left - 1);
    return 0;
  }
  if (argc != 2 || strcmp(argv[1], "serve")) {
    fprintf(stderr, "usage: work serve\n");
    return 2;
  }
  char line[256], name[32];
  long count;
  int copies;
  while (fgets(line, sizeof(line), stdin)) {
    if (sscanf(line, "%31s %ld %d", name, &count, &copies) != 3) return 2;
    if (!strcmp(name, "crowd"))
      crowd(count);
    else
      measure(name, count, copies);
  }
  kill(0, SIGKILL);  // the crowd, and this process: the leader of a group of its own
  return 0;
}
