// SPDX-License-Identifier: Apache-2.0
#include "agent/cgroup_scope.hpp"

#include <fcntl.h>

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "nightjar/unique_fd.hpp"

namespace nightjar {

Result<CgroupScope> find_cgroup(const std::string& path) {
  UniqueFd directory(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return Error::from_errno("--scope cgroup:" + path);
  struct statfs file_system{};
  struct stat here{};
  if (fstatfs(directory.get(), &file_system) != 0 || fstat(directory.get(), &here) != 0)
    return Error::from_errno("--scope cgroup:" + path);
  if (file_system.f_type != CGROUP2_SUPER_MAGIC) {
    const char* what = file_system.f_type == CGROUP_SUPER_MAGIC ? "a cgroup of version 1, not" : "not";
    return Error(errc::invalid, "--scope cgroup:" + path + ": " + what +
                                    " a directory of a cgroup2 file system (mount | grep cgroup2)");
  }
  CgroupScope scope{here.st_ino, 0};
  // Up to the root of the mount, whose parent directory is in another file system.
  for (;;) {
    UniqueFd parent(openat(directory.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat above{};
    if (!parent.valid() || fstat(parent.get(), &above) != 0) return Error::from_errno("--scope cgroup:" + path);
    if (above.st_dev != here.st_dev || above.st_ino == here.st_ino) return scope;
    ++scope.level;
    here = above;
    directory = std::move(parent);
  }
}

}  // namespace nightjar
