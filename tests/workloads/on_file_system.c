// SPDX-License-Identifier: Apache-2.0
// on_file_system KIND LOG DIR PROGRAM ARGS...: executes PROGRAM in a mount namespace of its own, in which DIR/mnt is a
// fresh file system: tmpfs, ext4, xfs, btrfs, or overlay (whose lower layer has files). "@FS" in ARGS stands for
// DIR/mnt; for a subvolume and a snapshot below it with KIND btrfs_subvolume and btrfs_snapshot; for a bind mount in
// the innermost of 30 tmpfs mounts in each other with KIND nested. What it takes to get there is done by another
// process, so that the one that executes has no file events of its own.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/btrfs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "folder.h"
#include "truth.h"

// mkfs.xfs wants 300 MiB at least; the image has holes.
#define IMAGE_BYTES (512L << 20)

static void put(const char* name, const char* text) {
  int fd = open(at(name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) truth_die(name);
  close(fd);
}

// Under the names that file_ops uses, and nested.
static void fill_lower(void) {
  char name[64], text[64];
  for (int i = 0; i < 24; i++) {
    snprintf(name, sizeof(name), "layers/lower/name%d", i);
    snprintf(text, sizeof(text), "lower %d", i);
    if (i % 4 == 2)
      TRUTH_CHECK(symlink(text, at(name)));
    else if (i % 4 == 3)
      make(name);
    else
      put(name, text);
  }
  make("layers/lower/nested");
  make("layers/lower/nested/deep");
  for (const char* one = "abcdefgh"; *one; one++) {
    snprintf(name, sizeof(name), "layers/lower/nested/deep/%c", *one);
    put(name, name);
    snprintf(name, sizeof(name), "layers/lower/nested/link_%c", *one);
    TRUTH_CHECK(symlink("some/where", at(name)));
  }
}

static void mount_overlay(void) {
  char options[16384];
  make("layers");
  TRUTH_CHECK(mount("nightjar-test", at("layers"), "tmpfs", 0, "mode=755"));
  make("layers/lower");
  make("layers/upper");
  make("layers/work");
  fill_lower();
  snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", at("layers/lower"), at("layers/upper"),
           at("layers/work"));
  if (mount("nightjar-test", at("mnt"), "overlay", 0, options))
    truth_skip(errno == ENODEV ? "kernel lacks overlayfs: ENODEV" : "overlayfs refuses the mount");
}

static void run(const char* program, const char* option, const char* file) {
  int status;
  pid_t pid = fork();
  if (!pid) {
    dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
    execlp(program, program, option, file, NULL);
    _exit(errno == ENOENT ? 77 : 1);
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid) truth_die("fork");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) truth_skip("there is no mkfs for this file system here");
  if (status) truth_die(program);
}

// A loop device of the image, with a minor number above 255; it is let go with the mount.
static const char* loop_device(const char* image) {
  static char device[64];
  struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR};
  int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  int file = open(image, O_RDWR | O_CLOEXEC);
  int number = 300;
  while (control >= 0 && number < 400 && ioctl(control, LOOP_CTL_ADD, number) < 0) number++;
  if (control < 0 || number == 400) truth_skip("there are no loop devices here");
  snprintf(device, sizeof(device), "/dev/loop%d", number);
  int loop = open(device, O_RDWR);  // open until this process ends: after the mount
  if (file < 0 || loop < 0 || ioctl(loop, LOOP_SET_FD, file) || ioctl(loop, LOOP_SET_STATUS64, &info))
    truth_die(device);
  return device;
}

static void mount_image(const char* type, const char* force) {
  char program[64];
  int fd = open(at("image"), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, IMAGE_BYTES)) truth_die("image");
  close(fd);
  snprintf(program, sizeof(program), "mkfs.%s", type);
  run(program, force, at("image"));
  if (mount(loop_device(at("image")), at("mnt"), type, 0, NULL))
    truth_skip(errno == ENODEV ? "this kernel has no such file system" : strerror(errno));
}

static void subvolume(const char* name, int snapshot) {
  struct btrfs_ioctl_vol_args args = {0};
  int root = open(at("mnt"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) truth_die("mnt");
  snprintf(args.name, sizeof(args.name), "%s", name);
  if (snapshot) args.fd = root;
  TRUTH_CHECK(ioctl(root, snapshot ? BTRFS_IOC_SNAP_CREATE : BTRFS_IOC_SUBVOL_CREATE, &args));
  close(root);
}

static const char* nested(void) {
  static char path[4096];
  size_t size = (size_t)snprintf(path, sizeof(path), "mnt");
  for (int i = 0; i < 30; i++) {
    TRUTH_CHECK(mount("nightjar-test", at(path), "tmpfs", 0, "mode=755"));
    size += (size_t)snprintf(path + size, sizeof(path) - size, "/in%d", i);
    make(path);
  }
  size += (size_t)snprintf(path + size, sizeof(path) - size, "/bound");
  make(path);
  make("elsewhere");
  make("elsewhere/part");
  TRUTH_CHECK(mount(at("elsewhere/part"), at(path), NULL, MS_BIND, NULL));
  return path;
}

// Returns the place below DIR.
static const char* prepare(const char* kind) {
  make("mnt");
  if (!strcmp(kind, "nested")) return nested();
  if (!strcmp(kind, "tmpfs"))
    TRUTH_CHECK(mount("nightjar-test", at("mnt"), "tmpfs", 0, "mode=755"));
  else if (!strcmp(kind, "overlay"))
    mount_overlay();
  else if (!strcmp(kind, "ext4"))
    mount_image("ext4", "-Fq");
  else if (!strcmp(kind, "xfs"))
    mount_image("xfs", "-fq");
  else
    mount_image("btrfs", "-fq");
  if (strncmp(kind, "btrfs_", 6)) return "mnt";
  subvolume("below", !strcmp(kind, "btrfs_snapshot"));
  return "mnt/below";
}

int main(int argc, char** argv) {
  int status, way[2];
  char place[8192] = "";
  if (argc < 5 || !realpath(argv[3], dir)) return 98;
  if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) truth_die("unshare");
  TRUTH_CHECK(pipe2(way, O_CLOEXEC));
  pid_t pid = fork();
  if (!pid) {
    truth_open(argv[2]);
    const char* there = at(prepare(argv[1]));
    return write(way[1], there, strlen(there)) > 0 ? 0 : 99;
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid) truth_die("fork");
  if (status) return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
  if (read(way[0], place, sizeof(place) - 1) <= 0) truth_die("pipe");
  for (int i = 5; i < argc; i++) {
    if (!strcmp(argv[i], "@FS")) argv[i] = place;
  }
  execv(argv[4], argv + 4);
  truth_die(argv[4]);
}
