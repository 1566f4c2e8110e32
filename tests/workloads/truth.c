// SPDX-License-Identifier: Apache-2.0
#include "truth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

static int log_fd = -1;

noreturn void truth_die(const char* what) {
  fprintf(stderr, "workload: %s: %s\n", what, strerror(errno));
  _exit(99);
}

noreturn void truth_skip(const char* why) {
  truth("\"t\":\"skip\",\"why\":\"%s\"", why);
  _exit(77);
}

void truth_open(const char* path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) truth_die(path);
  log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 100);
  if (log_fd < 0) truth_die("F_DUPFD_CLOEXEC");
  close(fd);
}

int truth_adopt(void) {
  const char* number = getenv("NJ_TRUTH_FD");
  if (!number) return 0;
  log_fd = atoi(number);
  return fcntl(log_fd, F_GETFD) >= 0;
}

void truth_inherit(void) {
  char number[16];
  snprintf(number, sizeof(number), "%d", log_fd);
  if (setenv("NJ_TRUTH_FD", number, 1) || fcntl(log_fd, F_SETFD, 0)) truth_die("truth_inherit");
}

int truth_fd(void) {
  return log_fd;
}

static void write_line(const char* text, size_t size) {
  if (log_fd >= 0 && write(log_fd, text, size) != (ssize_t)size) truth_die("write to the log");
}

void truth(const char* format, ...) {
  va_list args;
  char* body = NULL;
  char* line = NULL;
  va_start(args, format);
  if (vasprintf(&body, format, args) < 0) truth_die("vasprintf");
  va_end(args);
  int size = asprintf(&line, "{%s}\n", body);
  if (size < 0) truth_die("asprintf");
  write_line(line, (size_t)size);
  free(line);
  free(body);
}

char* truth_hex(const void* bytes, size_t size) {
  const unsigned char* from = bytes;
  char* text = malloc(size * 2 + 1);
  if (!text) truth_die("malloc");
  for (size_t i = 0; i < size; i++) {
    text[2 * i] = "0123456789abcdef"[from[i] >> 4];
    text[2 * i + 1] = "0123456789abcdef"[from[i] & 15];
  }
  text[size * 2] = 0;
  return text;
}

int64_t truth_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// The whole of a file whose size is not known, malloc'd.
static char* slurp(const char* path, size_t* size) {
  size_t room = 65536;
  char* text = malloc(room);
  *size = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (!text) truth_die("malloc");
  if (fd < 0) {
    text[0] = 0;
    return text;
  }
  for (;;) {
    if (*size + 1 >= room) {
      room *= 2;
      text = realloc(text, room);
      if (!text) truth_die("realloc");
    }
    ssize_t got = read(fd, text + *size, room - *size - 1);
    if (got <= 0) break;
    *size += (size_t)got;
  }
  close(fd);
  text[*size] = 0;
  return text;
}

static void link_hex(FILE* out, const char* name, const char* path) {
  char target[8192];
  ssize_t size = readlink(path, target, sizeof(target));
  if (size < 0) {
    fprintf(out, ",\"%s_errno\":%d", name, errno);
    return;
  }
  char* hex = truth_hex(target, (size_t)size);
  fprintf(out, ",\"%s\":\"%s\"", name, hex);
  free(hex);
}

static void stat_fields(FILE* out, const struct stat* st) {
  fprintf(out,
          ",\"ino\":%llu,\"major\":%u,\"minor\":%u,\"mode\":%u,\"file_uid\":%u,\"file_gid\":%u,\"size\":%lld"
          ",\"mtime\":%lld,\"ctime\":%lld,\"nlink\":%llu",
          (unsigned long long)st->st_ino, major(st->st_dev), minor(st->st_dev), st->st_mode & 07777U, st->st_uid,
          st->st_gid, (long long)st->st_size, (long long)st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec,
          (long long)st->st_ctim.tv_sec * 1000000000LL + st->st_ctim.tv_nsec, (unsigned long long)st->st_nlink);
}

void truth_stat(const char* what, const char* path) {
  struct stat st;
  char* text = NULL;
  size_t size = 0;
  if (stat(path, &st)) truth_die(path);
  char* hex = truth_hex(path, strlen(path));
  FILE* out = open_memstream(&text, &size);
  fprintf(out, "{\"t\":\"%s\",\"path\":\"%s\"", what, hex);
  stat_fields(out, &st);
  fprintf(out, "}\n");
  fclose(out);
  write_line(text, size);
  free(text);
  free(hex);
}

static void namespaces(FILE* out) {
  static const char* const names[] = {"mnt", "pid", "net", "user", "uts", "ipc", "cgroup", "time"};
  const char* comma = "";
  fprintf(out, ",\"ns\":{");
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    char path[64];
    struct stat st;
    snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
    if (stat(path, &st)) continue;
    fprintf(out, "%s\"%s\":%llu", comma, names[i], (unsigned long long)st.st_ino);
    comma = ",";
  }
  fprintf(out, "}");
}

// Capability masks of the calling thread, as /proc has them.
static void capabilities(FILE* out, const char* status) {
  static const char* const names[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    const char* at = strstr(status, names[i]);
    if (at) fprintf(out, ",\"%s\":\"%.16s\"", names[i], at + strlen(names[i]) + 2);
  }
}

static void command_line(FILE* out) {
  size_t size;
  char* text = slurp("/proc/self/cmdline", &size);
  uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  size_t count = 0;
  for (size_t i = 0; i < size; i++) {
    hash = (hash ^ (unsigned char)text[i]) * 1099511628211ULL;
    if (!text[i]) count++;
  }
  fprintf(out, ",\"cmdline_size\":%zu,\"cmdline_count\":%zu,\"cmdline_hash\":\"%016llx\"", size, count,
          (unsigned long long)hash);
  if (size <= 8192) {
    char* hex = truth_hex(text, size);
    fprintf(out, ",\"cmdline\":\"%s\"", hex);
    free(hex);
  }
  free(text);
}

// The controlling terminal and the session, from the 6th and 7th fields of /proc/self/stat.
static void session(FILE* out) {
  size_t size;
  char* text = slurp("/proc/self/stat", &size);
  const char* after = strrchr(text, ')');
  int ppid = 0, group = 0, leader = 0, terminal = 0;
  if (after && sscanf(after, ") %*c %d %d %d %d", &ppid, &group, &leader, &terminal) == 4) {
    // The kernel's new_encode_dev(), in the pids of whoever mounted this /proc.
    unsigned int device = (unsigned int)terminal;
    fprintf(out, ",\"proc_ppid\":%d,\"pgrp\":%d,\"session\":%d,\"tty_major\":%u,\"tty_minor\":%u", ppid, group, leader,
            (device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
  }
  free(text);
}

// Whether the path that /proc tells of the executable leads to it.
static int still_named(const struct stat* exe) {
  char path[8192];
  struct stat st;
  ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return !stat(path, &st) && st.st_ino == exe->st_ino && st.st_dev == exe->st_dev;
}

void truth_self(const char* what) {
  char* text = NULL;
  size_t size = 0;
  size_t status_size;
  struct stat st;
  uid_t ruid, euid, suid;
  gid_t rgid, egid, sgid;
  getresuid(&ruid, &euid, &suid);
  getresgid(&rgid, &egid, &sgid);
  FILE* out = open_memstream(&text, &size);
  fprintf(out, "{\"t\":\"%s\",\"at\":%lld,\"pid\":%d,\"ppid\":%d,\"tid\":%d", what, (long long)truth_now(), getpid(),
          getppid(), (int)syscall(SYS_gettid));
  fprintf(out, ",\"ruid\":%u,\"euid\":%u,\"suid\":%u,\"rgid\":%u,\"egid\":%u,\"sgid\":%u", ruid, euid, suid, rgid, egid,
          sgid);
  link_hex(out, "proc_self", "/proc/self");
  link_hex(out, "cwd", "/proc/self/cwd");
  link_hex(out, "exe", "/proc/self/exe");
  if (!stat("/proc/self/exe", &st)) {
    stat_fields(out, &st);
    fprintf(out, ",\"exe_has_name\":%s", still_named(&st) ? "true" : "false");
  }
  size_t comm_size;
  char* comm = slurp("/proc/self/comm", &comm_size);
  if (comm_size) {
    char* hex = truth_hex(comm, comm_size - 1);
    fprintf(out, ",\"comm\":\"%s\"", hex);
    free(hex);
  }
  free(comm);
  size_t login_size;
  char* login = slurp("/proc/self/loginuid", &login_size);
  if (login_size) fprintf(out, ",\"loginuid\":%lu", strtoul(login, NULL, 10));
  free(login);
  char* status = slurp("/proc/self/status", &status_size);
  capabilities(out, status);
  free(status);
  namespaces(out);
  session(out);
  command_line(out);
  fprintf(out, "}\n");
  fclose(out);
  write_line(text, size);
  free(text);
}

int truth_wait(const char* what, pid_t pid) {
  int status = 0;
  struct rusage use;
  if (wait4(pid, &status, 0, &use) != pid) truth_die("wait4");
  truth(
      "\"t\":\"%s\",\"pid\":%d,\"ppid\":%d,\"at\":%lld,\"status\":%d,\"%s\":%d,\"core\":%s,\"user_ns\":%lld,"
      "\"system_ns\":%lld,\"max_rss_kb\":%ld",
      what, pid, getpid(), (long long)truth_now(), status, WIFEXITED(status) ? "code" : "signal",
      WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), WCOREDUMP(status) ? "true" : "false",
      (long long)use.ru_utime.tv_sec * 1000000000LL + use.ru_utime.tv_usec * 1000LL,
      (long long)use.ru_stime.tv_sec * 1000000000LL + use.ru_stime.tv_usec * 1000LL, use.ru_maxrss);
  return status;
}

void truth_told(const char* action, const char* fields, ...) {
  va_list args;
  char* body = NULL;
  va_start(args, fields);
  if (vasprintf(&body, fields, args) < 0) truth_die("vasprintf");
  va_end(args);
  truth("\"t\":\"told\",\"action\":\"%s\",\"pid\":%d,\"tid\":%ld,\"is\":{%s}", action, getpid(), syscall(SYS_gettid),
        body);
  free(body);
}

const char* truth_namespaces(const char* prefix) {
  static char text[4][1024];
  static int next;
  char* to = text[next++ % 4];
  size_t used = 0;
  static const char* const names[] = {"mnt", "pid", "net", "user", "uts", "ipc", "cgroup", "time", "pid_for_children"};
  to[0] = 0;
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    char path[64], target[64];
    snprintf(path, sizeof(path), "/proc/thread-self/ns/%s", names[i]);
    ssize_t size = readlink(path, target, sizeof(target) - 1);
    if (size < 0) continue;
    target[size] = 0;
    const char* number = strchr(target, '[');
    if (!number) continue;
    used += (size_t)snprintf(to + used, sizeof(text[0]) - used, "%s\"%s.%s\":%lu", used ? "," : "", prefix, names[i],
                             strtoul(number + 1, NULL, 10));
  }
  return to;
}
