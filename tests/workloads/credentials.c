// SPDX-License-Identifier: Apache-2.0
// credentials LOG DIR REPORT MODE: changes what it is, then executes REPORT in a child. ids (real, effective and saved
// ids that all differ), ids_plain (uid 1001, gid 2002), setuid (a copy of REPORT owned by uid 1013 with mode 4755, run
// by 65534), setuid_root (owned by root), caps (keeps only CAP_NET_RAW and CAP_SYS_PTRACE), no_caps (drops all, stays
// uid 0), ambient (uid 65534 with ambient CAP_NET_BIND_SERVICE), file_caps (a copy with CAP_NET_RAW in an xattr), login
// UID.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

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

static void set_caps(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  for (int i = 0; i < 2; i++) {
    data[i].effective = (uint32_t)(effective >> (32 * i));
    data[i].permitted = (uint32_t)(permitted >> (32 * i));
    data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
  }
  TRUTH_CHECK(syscall(SYS_capset, &header, data));
}

static void become(uid_t uid, gid_t gid) {
  TRUTH_CHECK(setgroups(0, NULL));
  TRUTH_CHECK(setresgid(gid, gid, gid));
  TRUTH_CHECK(setresuid(uid, uid, uid));
}

static void need_suid_mount(void) {
  struct statvfs fs;
  if (statvfs(".", &fs) || (fs.f_flag & ST_NOSUID)) truth_skip("the temporary directory is mounted nosuid");
}

static void prepare(const char* mode, const char** report) {
  const uint64_t two = 1ULL << CAP_NET_RAW | 1ULL << CAP_SYS_PTRACE;
  if (!strcmp(mode, "ids")) {
    TRUTH_CHECK(setgroups(0, NULL));
    TRUTH_CHECK(setresgid(2011, 2027, 2039));
    TRUTH_CHECK(setresuid(1009, 1019, 1031));
  } else if (!strcmp(mode, "ids_plain")) {
    become(1001, 2002);
  } else if (!strcmp(mode, "setuid") || !strcmp(mode, "setuid_root")) {
    need_suid_mount();
    copy(*report, "program");
    uid_t owner = !strcmp(mode, "setuid") ? 1013 : 0;
    TRUTH_CHECK(chown("program", owner, 0));
    TRUTH_CHECK(chmod("program", 04755));
    *report = "./program";
    become(65534, 65534);
  } else if (!strcmp(mode, "caps") || !strcmp(mode, "no_caps")) {
    // Root gets P = bounding set at exec: take the rest out of the bounding set.
    uint64_t keep = !strcmp(mode, "caps") ? two : 0;
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
      if (!(keep >> cap & 1)) TRUTH_CHECK(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0));
    }
    set_caps(keep, keep, 0);
  } else if (!strcmp(mode, "ambient")) {
    const uint64_t bind = 1ULL << CAP_NET_BIND_SERVICE;
    TRUTH_CHECK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
    become(65534, 65534);
    set_caps(bind, bind, bind);
    TRUTH_CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0));
  } else if (!strcmp(mode, "file_caps")) {
    need_suid_mount();
    copy(*report, "program");
    struct vfs_cap_data data = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE};
    data.data[0].permitted = 1U << CAP_NET_RAW;
    if (setxattr("program", "security.capability", &data, XATTR_CAPS_SZ_2, 0)) {
      truth_skip("the file system takes no file capabilities");
    }
    *report = "./program";
    become(65534, 65534);
  } else if (!strncmp(mode, "login=", 6)) {
    int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) truth_skip("kernel lacks audit: no /proc/self/loginuid");
    if (fd < 0 || write(fd, mode + 6, strlen(mode + 6)) < 0) truth_skip("loginuid may not be set here");
    close(fd);
  }
}

int main(int argc, char** argv) {
  if (argc != 5) return 98;
  truth_open(argv[1]);
  truth_inherit();
  TRUTH_CHECK(chdir(argv[2]));
  pid_t pid = fork();
  if (pid < 0) truth_die("fork");
  if (!pid) {
    const char* report = argv[3];
    prepare(argv[4], &report);
    truth_self("before");
    execl(report, "report", NULL);
    truth_die(report);
  }
  int status = truth_wait("end", pid);
  if (status >> 8 == 77) return 77;
  return status ? 99 : 0;
}
