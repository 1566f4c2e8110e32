// SPDX-License-Identifier: Apache-2.0
// file_ops LOG DIR each | random SEED COUNT | copy_up | held | killed | io_uring: file operations in DIR, each with the
// line that says what must be reported: the path, and what stat(2) shows. Operations that fail leave no line.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "truth.h"

enum { NAMES = 24, NAME = 300 };
static char dir[4096];
static int dir_fd;
static uint64_t state;

static unsigned pick(unsigned limit) {
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (unsigned)(state >> 33) % limit;
}

// One event; `more` begins with a comma or is empty.
static void expect(const char* action, const char* name, const struct stat* st, const char* more) {
  char path[8192];
  snprintf(path, sizeof(path), "%s/%s", dir, name);
  char* hex = truth_hex(path, strlen(path));
  truth(
      "\"t\":\"event\",\"action\":\"%s\",\"path\":\"%s\",\"ino\":%llu,\"device\":\"%u:%u\",\"mode\":\"%04o\",\"uid\":%"
      "u,"
      "\"gid\":%u,\"size\":%lld%s",
      action, hex, (unsigned long long)st->st_ino, major(st->st_dev), minor(st->st_dev), st->st_mode & 07777U,
      st->st_uid, st->st_gid, (long long)st->st_size, more);
  free(hex);
}

static int look(const char* name, struct stat* st) {
  return fstatat(dir_fd, name, st, AT_SYMLINK_NOFOLLOW);
}

static const char* absolute(const char* name) {
  static char path[2][8192];
  static int turn;
  char* to = path[turn ^= 1];
  snprintf(to, sizeof(path[0]), "%s/%s", dir, name);
  return to;
}

static void write_and_close(int fd, const char* name, unsigned bytes) {
  static char data[70000];
  struct stat st;
  char more[64];
  unsigned half = bytes / 2;
  struct iovec parts[2] = {{data, half / 2}, {data, half - half / 2}};
  if (bytes) {
    if (write(fd, data, bytes - half) != (ssize_t)(bytes - half)) truth_die("write");
    if (half && writev(fd, parts, 2) != (ssize_t)half) truth_die("writev");
  }
  if (fstat(fd, &st)) truth_die("fstat");
  int other = dup(fd);
  close(fd);
  if (bytes) {
    snprintf(more, sizeof(more), ",\"bytes\":%u", bytes);
    expect("modify", name, &st, more);
  }
  close(other);  // the last close is the end of the open file
}

static void do_create(const char* name, unsigned bytes) {
  struct stat st;
  int fd;
  switch (pick(3)) {
    case 0:
      fd = open(absolute(name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);
      break;
    case 1:
      fd = openat(dir_fd, name, O_CREAT | O_EXCL | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
      break;
    default:
      if (!faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW)) return;
      fd = creat(name, 0644);
  }
  if (fd < 0) return;
  if (fstat(fd, &st)) truth_die("fstat");
  expect("create", name, &st, "");
  write_and_close(fd, name, bytes);
}

static void do_open(const char* name, int flags, unsigned bytes) {
  struct stat st, before;
  if (look(name, &before) || !S_ISREG(before.st_mode)) return;
  int fd = pick(2) ? open(name, flags | O_CLOEXEC) : openat(dir_fd, absolute(name), flags | O_CLOEXEC);
  if (fd < 0) return;
  if (fstat(fd, &st)) truth_die("fstat");
  if (flags & O_TRUNC) expect("truncate", name, &st, "");
  expect("open_write", name, &st, "");
  write_and_close(fd, name, bytes);
}

static void do_rename(const char* from, const char* to, unsigned flags) {
  struct stat source, target, st;
  char more[8500];
  if (look(from, &source)) return;
  int over = !look(to, &target);
  if (flags ? syscall(SYS_renameat2, AT_FDCWD, from, dir_fd, absolute(to), flags) != 0
            : rename(absolute(from), to) != 0)
    return;
  // Two names of one file: nothing happens. On an overlay two files may have one number, and then it does.
  if (over && source.st_ino == target.st_ino && (flags || !look(from, &st))) return;
  if (look(to, &st)) truth_die("stat");
  char* hex = truth_hex(absolute(from), strlen(absolute(from)));
  int size = snprintf(more, sizeof(more), ",\"old_path\":\"%s\",\"old_ino\":%llu,\"exchange\":%s", hex,
                      (unsigned long long)source.st_ino, flags == 2 ? "true" : "false");
  if (over)
    snprintf(more + size, sizeof(more) - (size_t)size, ",\"overwritten\":%llu", (unsigned long long)target.st_ino);
  free(hex);
  expect("rename", to, &st, more);
}

static void do_remove(const char* name) {
  struct stat st;
  if (look(name, &st)) return;
  if (S_ISDIR(st.st_mode)) {
    if (!(pick(2) ? rmdir(name) : unlinkat(dir_fd, absolute(name), AT_REMOVEDIR))) expect("rmdir", name, &st, "");
  } else {
    if (!(pick(2) ? unlink(absolute(name)) : unlinkat(dir_fd, name, 0))) expect("delete", name, &st, "");
  }
}

static void do_mkdir(const char* name) {
  struct stat st;
  if (pick(2) ? mkdir(name, 0751) : mkdirat(dir_fd, name, 0700)) return;
  if (look(name, &st)) truth_die("stat");
  expect("mkdir", name, &st, "");
}

static void do_link(const char* from, const char* to) {
  struct stat st;
  char more[8500];
  if (pick(2) ? link(from, absolute(to)) : linkat(dir_fd, absolute(from), dir_fd, to, 0)) return;
  if (look(to, &st)) truth_die("stat");
  char* hex = truth_hex(absolute(from), strlen(absolute(from)));
  snprintf(more, sizeof(more), ",\"old_path\":\"%s\",\"old_ino\":%llu", hex, (unsigned long long)st.st_ino);
  free(hex);
  expect("link", to, &st, more);
}

static void do_symlink(const char* name) {
  struct stat st;
  char text[400], more[900];
  snprintf(text, sizeof(text), "../some/where/%u%s", pick(1000), pick(4) ? "" : "/with a blank and \xff");
  if (pick(2) ? symlink(text, absolute(name)) : symlinkat(text, dir_fd, name)) return;
  if (look(name, &st)) truth_die("stat");
  char* hex = truth_hex(text, strlen(text));
  snprintf(more, sizeof(more), ",\"target\":\"%s\"", hex);
  free(hex);
  expect("symlink", name, &st, more);
}

static void do_chmod(const char* name) {
  struct stat before, st;
  char more[64];
  mode_t mode = 0400 + pick(0400);
  if (look(name, &before) || S_ISLNK(before.st_mode)) return;
  if (pick(2) && S_ISREG(before.st_mode)) {
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, mode | (pick(3) ? 0 : 04000))) truth_die("fchmod");
    close(fd);
  } else if (chmod(absolute(name), mode)) {
    truth_die("chmod");
  }
  if (look(name, &st)) truth_die("stat");
  snprintf(more, sizeof(more), ",\"old_mode\":\"%04o\"", before.st_mode & 07777U);
  expect("chmod", name, &st, more);
}

static void do_chown(const char* name) {
  struct stat before, st;
  char more[128];
  uid_t uid = pick(5000);
  if (look(name, &before)) return;
  if (pick(2) && S_ISREG(before.st_mode)) {
    int fd = open(absolute(name), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fchown(fd, uid, uid + 1)) truth_die("fchown");
    close(fd);
  } else if (fchownat(dir_fd, name, uid, pick(2) ? uid + 7 : (gid_t)-1, AT_SYMLINK_NOFOLLOW)) {
    truth_die("fchownat");
  }
  if (look(name, &st)) truth_die("stat");
  snprintf(more, sizeof(more), ",\"old_uid\":%u,\"old_gid\":%u", before.st_uid, before.st_gid);
  expect("chown", name, &st, more);
}

static void do_truncate(const char* name) {
  struct stat st;
  off_t size = (off_t)pick(100000);
  if (look(name, &st) || !S_ISREG(st.st_mode)) return;
  if (truncate(absolute(name), size)) return;
  if (look(name, &st)) truth_die("stat");
  expect("truncate", name, &st, "");
}

static void do_ftruncate(const char* name) {
  struct stat st;
  if (look(name, &st) || !S_ISREG(st.st_mode)) return;
  int fd = open(name, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  expect("open_write", name, &st, "");
  if (ftruncate(fd, (off_t)pick(5000)) || fstat(fd, &st)) truth_die("ftruncate");
  expect("truncate", name, &st, "");
  close(fd);
}

static void do_mknod(const char* name) {
  struct stat st;
  int regular = !pick(3);
  if (mknodat(dir_fd, pick(2) ? name : absolute(name), (regular ? S_IFREG : S_IFIFO) | 0620U, 0)) return;
  if (look(name, &st)) truth_die("stat");
  expect(regular ? "create" : "mknod", name, &st, "");
}

static void do_xattr(const char* name) {
  // Another value each time: ext4 does nothing at all for the value that is there already.
  static unsigned value;
  struct stat st;
  if (look(name, &st) || S_ISLNK(st.st_mode)) return;
  value++;
  if (setxattr(absolute(name), "trusted.nightjar", &value, sizeof value, 0)) {
    if (errno == ENOTSUP || errno == EPERM) return;
    truth_die("setxattr");
  }
  if (look(name, &st)) truth_die("stat");
  expect("xattr_set", name, &st, ",\"xattr\":\"trusted.nightjar\"");
}

static void do_utimes(const char* name) {
  struct stat st;
  struct timespec times[2] = {{1000000000 + pick(1000000), 5}, {1000000000 + pick(1000000), 7}};
  if (look(name, &st)) return;
  if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW)) truth_die("utimensat");
  if (look(name, &st)) truth_die("stat");
  expect("utimes", name, &st, "");
}

static void do_tmpfile(const char* name) {
  struct stat st;
  char more[8500], from[64];
  int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) return;
  snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
  int linked = !linkat(AT_FDCWD, from, dir_fd, name, AT_SYMLINK_FOLLOW);
  if (fstat(fd, &st)) truth_die("fstat");
  truth("\"t\":\"tmpfile\",\"ino\":%llu", (unsigned long long)st.st_ino);
  snprintf(more, sizeof(more), ",\"old_ino\":%llu", (unsigned long long)st.st_ino);
  if (linked) expect("link", name, &st, more);
  close(fd);
}

static void do_failures(const char* name) {
  struct stat st;
  if (!look(name, &st)) {
    if (!mkdirat(dir_fd, name, 0700) || !symlink("x", name) || open(name, O_CREAT | O_EXCL | O_WRONLY, 0600) >= 0 ||
        !mknod(name, S_IFIFO | 0600, 0) || !link(name, absolute(name)))
      truth_die("what must fail did not");
    return;
  }
  if (!unlink(name) || !rmdir(name) || !chmod(name, 0600) || !rename(name, "other") || !truncate(name, 1) ||
      open(absolute(name), O_WRONLY) >= 0)
    truth_die("what must fail did not");
}

static void name_of(unsigned number, char* name) {
  if (number % 8 == 3) {  // names of 255 bytes
    memset(name, 'a' + (int)number % 26, 255);
    snprintf(name + 250, 6, "%05u", number);
  } else if (number % 8 == 5) {
    snprintf(name, NAME, "odd \"name\"\n\xfe%u", number);
  } else {
    snprintf(name, NAME, "name%u", number);
  }
}

static void one(unsigned what, const char* a, const char* b) {
  switch (what) {
    case 0:
      do_create(a, pick(2) ? 0 : 1 + pick(9000));
      break;
    case 1:
      do_open(a, O_WRONLY, pick(3) ? pick(70000) : 0);
      break;
    case 2:
      do_open(a, O_RDWR | O_TRUNC, pick(100));
      break;
    case 3:
      do_rename(a, b, 0);
      break;
    case 4:
      do_rename(a, b, 2);
      break;
    case 5:
      do_remove(a);
      break;
    case 6:
      do_mkdir(a);
      break;
    case 7:
      do_link(a, b);
      break;
    case 8:
      do_symlink(a);
      break;
    case 9:
      do_chmod(a);
      break;
    case 10:
      do_chown(a);
      break;
    case 11:
      do_truncate(a);
      break;
    case 12:
      do_ftruncate(a);
      break;
    case 13:
      do_mknod(a);
      break;
    case 14:
      do_xattr(a);
      break;
    case 15:
      do_utimes(a);
      break;
    case 16:
      do_tmpfile(a);
      break;
    case 17:
      do_failures(a);
      break;
    case 18:
      do_create(a, 1 + pick(5));
      break;
    default:
      do_remove(b);
  }
}

// ---- io_uring: no system call of these operations is made

static struct {
  int fd;
  unsigned *tail, *mask, *array, *head, *done_tail, *done_mask;
  struct io_uring_sqe* asked;
  struct io_uring_cqe* done;
} ring;

static void ring_open(void) {
  struct io_uring_params params = {0};
  ring.fd = (int)syscall(SYS_io_uring_setup, 4, &params);
  if (ring.fd < 0) truth_skip("io_uring is not to be had here");
  // Before 5.11 there is only open, done by a thread of the kernel's that has no process, and holds the caller's files.
  struct io_uring_probe* probe = calloc(1, sizeof(*probe) + 64 * sizeof(probe->ops[0]));
  if (!probe || syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_PROBE, probe, 64) ||
      !(probe->ops[IORING_OP_RENAMEAT].flags & IO_URING_OP_SUPPORTED))
    truth_skip("kernel lacks io_uring_names");
  free(probe);
  size_t size = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  char* to = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING);
  size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
  char* from = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_CQ_RING);
  size = params.sq_entries * sizeof(struct io_uring_sqe);
  ring.asked = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQES);
  if (to == MAP_FAILED || from == MAP_FAILED || ring.asked == MAP_FAILED) truth_die("mmap");
  ring.tail = (unsigned*)(to + params.sq_off.tail);
  ring.mask = (unsigned*)(to + params.sq_off.ring_mask);
  ring.array = (unsigned*)(to + params.sq_off.array);
  ring.head = (unsigned*)(from + params.cq_off.head);
  ring.done_tail = (unsigned*)(from + params.cq_off.tail);
  ring.done_mask = (unsigned*)(from + params.cq_off.ring_mask);
  ring.done = (struct io_uring_cqe*)(from + params.cq_off.cqes);
}

// One operation, to its end: its result; -EINVAL where this kernel does not have it.
static int ring_do(struct io_uring_sqe entry) {
  unsigned slot = *ring.tail & *ring.mask;
  ring.asked[slot] = entry;
  ring.array[slot] = slot;
  __atomic_store_n(ring.tail, *ring.tail + 1, __ATOMIC_RELEASE);
  if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1) truth_die("io_uring_enter");
  while (*ring.head == __atomic_load_n(ring.done_tail, __ATOMIC_ACQUIRE)) {
  }
  int result = ring.done[*ring.head & *ring.done_mask].res;
  __atomic_store_n(ring.head, *ring.head + 1, __ATOMIC_RELEASE);
  if (result < 0 && result != -EINVAL) {
    errno = -result;
    truth_die("an operation of io_uring");
  }
  return result;
}

static struct io_uring_sqe named(unsigned char what, const char* name) {
  return (struct io_uring_sqe){.opcode = what, .fd = dir_fd, .addr = (uintptr_t)name};
}

static struct io_uring_sqe two_names(unsigned char what, const char* from, const char* to) {
  struct io_uring_sqe entry = named(what, from);
  entry.addr2 = (uintptr_t)to;
  entry.len = (unsigned)dir_fd;
  return entry;
}

static void expect_more(const char* action, const char* name, const char* key, const char* bytes, ino_t old) {
  struct stat st;
  char more[8500];
  if (look(name, &st)) truth_die(name);
  char* hex = truth_hex(bytes, strlen(bytes));
  int size = snprintf(more, sizeof(more), ",\"%s\":\"%s\"", key, hex);
  if (old) snprintf(more + size, sizeof(more) - (size_t)size, ",\"old_ino\":%llu", (unsigned long long)old);
  free(hex);
  expect(action, name, &st, more);
}

static void through_io_uring(void) {
  struct stat st;
  ring_open();
  struct io_uring_sqe entry = named(IORING_OP_OPENAT, "made");
  entry.len = 0640;
  entry.open_flags = O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC;
  int fd = ring_do(entry);
  if (fd < 0) truth_skip("io_uring does not open files here");
  if (fstat(fd, &st)) truth_die("fstat");
  expect("create", "made", &st, "");
  close(fd);
  if (ring_do(two_names(IORING_OP_RENAMEAT, "made", "moved")) < 0) return;
  expect_more("rename", "moved", "old_path", absolute("made"), st.st_ino);
  entry = named(IORING_OP_MKDIRAT, "folder");
  entry.len = 0711;
  if (!ring_do(entry)) {
    if (look("folder", &st)) truth_die("folder");
    expect("mkdir", "folder", &st, "");
    entry = named(IORING_OP_UNLINKAT, "folder");
    entry.unlink_flags = AT_REMOVEDIR;
    if (!ring_do(entry)) expect("rmdir", "folder", &st, "");
  }
  if (!look("moved", &st) && !ring_do(two_names(IORING_OP_LINKAT, "moved", "hard")))
    expect_more("link", "hard", "old_path", absolute("moved"), st.st_ino);
  entry = two_names(IORING_OP_SYMLINKAT, "some/where", "soft");
  entry.len = 0;
  if (!ring_do(entry)) expect_more("symlink", "soft", "target", "some/where", 0);
  if (look("moved", &st)) truth_die("moved");
  if (!ring_do(named(IORING_OP_UNLINKAT, "moved"))) expect("delete", "moved", &st, "");
}

// On what the lower layer of an overlay has (on_file_system overlay): each first makes the upper layer its own copies.
static void copy_up(void) {
  do_chmod("nested/deep/a");
  do_open("nested/deep/b", O_WRONLY, 11);
  do_open("nested/deep/c", O_RDWR | O_TRUNC, 13);
  do_chown("nested/deep/d");
  do_truncate("nested/deep/e");
  do_utimes("nested/deep/f");
  do_xattr("nested/deep/g");
  do_link("nested/deep/h", "nested/hard");
  do_chown("nested/link_a");
  do_rename("nested/link_b", "nested/moved", 0);
  do_link("nested/link_c", "hard_link");
  do_rename("name0", "nested/deep/moved", 0);
  do_rename("name1", "name4", 0);
  do_rename("name5", "name8", 2);
  do_remove("nested/link_d");
  do_remove("name9");
  do_remove("name3");
  do_mkdir("name3");
  do_create("name9", 5);
  do_symlink("nested/link_d");
  do_chmod("name7");
  do_rename("name7", "elsewhere", 0);  // refused: without redirect_dir a directory of the lower layer stays
}

static void* wait_for_the_end(void* barrier) {
  pthread_barrier_wait(barrier);
  pause();
  return NULL;
}

// A file that is open when the process ends.
static void hold(void) {
  struct stat st;
  int fd = open("held", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);
  TRUTH_CHECK(fd);
  if (fstat(fd, &st)) truth_die("fstat");
  expect("create", "held", &st, "");
  if (write(fd, "1234567", 7) != 7 || fstat(fd, &st)) truth_die("write");
  expect("modify", "held", &st, ",\"bytes\":7");
}

// The same in a process of several threads.
static void held(void) {
  enum { THREADS = 5 };
  pthread_barrier_t barrier;
  pthread_t thread;
  pthread_barrier_init(&barrier, NULL, THREADS + 1);
  for (int i = 0; i < THREADS; i++)
    if (pthread_create(&thread, NULL, wait_for_the_end, &barrier)) truth_die("pthread_create");
  pthread_barrier_wait(&barrier);
  hold();
}

int main(int argc, char** argv) {
  char a[NAME], b[NAME];
  if (argc < 4 || !realpath(argv[2], dir)) return 98;
  truth_open(argv[1]);
  umask(027);
  TRUTH_CHECK(chdir(dir));
  dir_fd = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
  TRUTH_CHECK(dir_fd);
  const int is_killed = !strcmp(argv[3], "killed");
  if (is_killed) {
    pid_t child = fork();
    TRUTH_CHECK(child);
    if (child) return waitpid(child, NULL, 0) == child ? 0 : 98;
  }
  truth("\"t\":\"begin\",\"pid\":%d", getpid());
  if (!strcmp(argv[3], "each")) {
    state = 1;
    static const unsigned order[] = {18, 1, 2, 9, 10, 11, 12, 14, 15, 7, 3, 5, 17};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) one(order[i], "a", "b");
    one(6, "d", ""), one(13, "n", ""), one(8, "s", ""), one(4, "d", "s"), one(16, "t", ""), one(5, "s", ""),
        one(5, "d", "");
  } else if (!strcmp(argv[3], "copy_up")) {
    state = 1;
    copy_up();
  } else if (!strcmp(argv[3], "held")) {
    held();
  } else if (is_killed) {
    hold();
    kill(getpid(), SIGKILL);
  } else if (!strcmp(argv[3], "io_uring")) {
    through_io_uring();
  } else {
    state = strtoull(argv[4], NULL, 10);
    for (unsigned count = (unsigned)atoi(argv[5]); count; count--) {
      name_of(pick(NAMES), a);
      name_of(pick(NAMES), b);
      one(pick(20), a, b);
    }
  }
  return 0;
}
