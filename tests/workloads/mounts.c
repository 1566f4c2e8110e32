// SPDX-License-Identifier: Apache-2.0
// mounts LOG DIR REPORT MODE: in a mount namespace of its own, executes a copy of REPORT from: bind_dir (a directory
// mounted elsewhere), bind_file (a single file), over (a mount on top of a mount), tmpfs (a tmpfs in a tmpfs),
// overlay_upper, overlay_lower, chroot. {"t":"place","exe":hex}: its path in the mount
// namespace.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "folder.h"
#include "truth.h"

static void copy(const char* from, const char* to) {
  struct stat st;
  int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  if (in < 0 || out < 0 || fstat(in, &st)) truth_die(to);
  while (sendfile(out, in, NULL, (size_t)st.st_size) > 0) {
  }
  fchmod(out, 0755);
  close(in);
  close(out);
}

static void tmpfs(const char* name) {
  TRUTH_CHECK(mount("nightjar-test", at(name), "tmpfs", 0, "mode=755"));
}

static void bind(const char* from, const char* to) {
  TRUTH_CHECK(mount(at(from), at(to), NULL, MS_BIND, NULL));
}

static const char* overlay(const char* report, int upper) {
  char options[16384];
  // Some file systems cannot be an upper layer: the layers lie on a tmpfs of their own.
  make("layers");
  tmpfs("layers");
  make("layers/lower");
  make("layers/upper");
  make("layers/work");
  make("merged");
  if (!upper) copy(report, at("layers/lower/program"));
  snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", at("layers/lower"), at("layers/upper"),
           at("layers/work"));
  if (mount("nightjar-test", at("merged"), "overlay", 0, options)) {
    truth_skip(errno == ENODEV ? "kernel lacks overlayfs: ENODEV" : "overlayfs refuses the mount");
  }
  if (upper) copy(report, at("merged/program"));
  return at("merged/program");
}

static const char* prepare(const char* mode, const char* report) {
  if (!strncmp(mode, "overlay_", 8)) return overlay(report, !strcmp(mode, "overlay_upper"));
  make("from");
  make("to");
  copy(report, at("from/program"));
  if (!strcmp(mode, "bind_dir")) {
    bind("from", "to");
    return at("to/program");
  }
  if (!strcmp(mode, "bind_file")) {
    close(open(at("file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
    bind("from/program", "file");
    return at("file");
  }
  if (!strcmp(mode, "over")) {
    tmpfs("to");
    bind("from", "to");
    return at("to/program");
  }
  if (!strcmp(mode, "tmpfs")) {
    tmpfs("to");
    make("to/inner");
    tmpfs("to/inner");
    copy(report, at("to/inner/program"));
    return at("to/inner/program");
  }
  if (!strcmp(mode, "chroot")) {
    // Executed as /program; the path in the mount namespace is logged. /proc is mounted inside.
    make("from/proc");
    TRUTH_CHECK(mount("proc", at("from/proc"), "proc", 0, NULL));
    TRUTH_CHECK(chroot(at("from")));
    TRUTH_CHECK(chdir("/"));
    return "/program";
  }
  truth_die(mode);
}

int main(int argc, char** argv) {
  if (argc != 5) return 98;
  truth_open(argv[1]);
  truth_inherit();
  if (!realpath(argv[2], dir)) truth_die(argv[2]);
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) {
    if (unshare(CLONE_NEWNS)) truth_skip("a mount namespace is refused");
    TRUTH_CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
    const char* path = prepare(argv[4], argv[3]);
    const char* seen = !strcmp(argv[4], "chroot") ? at("from/program") : path;
    char* hex = truth_hex(seen, strlen(seen));
    truth("\"t\":\"place\",\"pid\":%d,\"exe\":\"%s\"", getpid(), hex);
    execl(path, "mounted", NULL);
    truth_die(path);
  }
  int status = truth_wait("end", pid);
  if (status >> 8 == 77) return 77;
  return status ? 99 : 0;
}
