// SPDX-License-Identifier: Apache-2.0
#include "output/safe_path.hpp"

#include <climits>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

#include <linux/magic.h>
#include <sys/statfs.h>

namespace nightjar {
namespace {

constexpr int links_followed_at_most = 40;  // as the kernel does
constexpr std::size_t settings_bytes_at_most = 1U << 20;

bool ours(const struct stat& status) {
  return status.st_uid == 0 || status.st_uid == geteuid();
}
/// Others can add, rename and remove names here (in a sticky directory only their own).
bool others_write(const struct stat& directory) {
  return (directory.st_mode & S_IWOTH) != 0 || !ours(directory);
}
bool sticky(const struct stat& directory) {
  return (directory.st_mode & S_ISVTX) != 0 && ours(directory);
}
bool in_proc(int directory) {
  struct statfs fs{};
  return fstatfs(directory, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

Result<std::string> read_link(int directory, const std::string& name, const std::string& path) {
  char target[PATH_MAX];
  const ssize_t size = readlinkat(directory, name.c_str(), target, sizeof target);
  if (size < 0) return Error::from_errno("cannot read the link " + name + " in " + path);
  return std::string(target, static_cast<std::size_t>(size));
}

}  // namespace

Result<SafePlace> find_safe_place(const std::string& path) {
  std::string rest = path;
  SafePlace place{{}, "", path};
  place.directory.reset(::open(rest.starts_with('/') ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (int links = 0;;) {
    if (!place.directory.valid()) return Error::from_errno("cannot write events to " + path);
    while (rest.starts_with('/')) rest.erase(0, 1);
    const auto slash = rest.find('/');
    const std::string name = rest.substr(0, slash);
    const std::string behind = slash == std::string::npos ? "" : rest.substr(slash + 1);
    const bool last = behind.find_first_not_of('/') == std::string::npos;
    if (name.empty()) return Error(errc::invalid, "cannot write events to " + path + ": it names a directory");
    struct stat directory{}, status{};
    if (fstat(place.directory.get(), &directory) != 0) return Error::from_errno("cannot look at " + path);
    const bool there = fstatat(place.directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && !last) return Error::from_errno("cannot write events to " + path);
    if (there && S_ISLNK(status.st_mode)) {
      if (in_proc(place.directory.get())) {  // /dev/stdout and its like: the kernel's own links
        place.name = name;
        return place;
      }
      if (!ours(status) || (others_write(directory) && !sticky(directory)))
        return Error(errc::denied, "refused to write events to " + path + ": " + name +
                                       " is a symbolic link that other users control: name the real path");
      if (++links > links_followed_at_most) return Error::from_errno("cannot write events to " + path, ELOOP);
      rest = NIGHTJAR_TRY(read_link(place.directory.get(), name, path)) + "/" + behind;
      if (last) rest.pop_back();
      if (rest.starts_with('/')) place.directory.reset(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
      continue;
    }
    if (last) {
      place.name = name;
      return place;
    }
    place.directory.reset(openat(place.directory.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    rest = behind;
  }
}

Result<UniqueFd> open_safely(const SafePlace& place, int flags, mode_t mode) {
  const bool proc = in_proc(place.directory.get());
  UniqueFd file(openat(place.directory.get(), place.name.c_str(), flags | O_CLOEXEC | (proc ? 0 : O_NOFOLLOW), mode));
  if (!file.valid()) return Error::from_errno("cannot write events to " + place.path);
  struct stat status{}, directory{};
  if (fstat(file.get(), &status) != 0 || fstat(place.directory.get(), &directory) != 0)
    return Error::from_errno("cannot look at " + place.path);
  if (S_ISREG(status.st_mode) && !ours(status) && !proc)
    return Error(errc::denied, "refused to write events to " + place.path + ": the file belongs to another user (uid " +
                                   std::to_string(status.st_uid) + ")");
  if (S_ISREG(status.st_mode) && status.st_nlink > 1 && others_write(directory))
    return Error(errc::denied, "refused to write events to " + place.path +
                                   ": the file has a second name, and other users can write its directory");
  return file;
}

Result<std::string> read_trusted_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return Error::from_errno("cannot read " + path);
  struct stat status{};
  if (fstat(file.get(), &status) != 0) return Error::from_errno("cannot look at " + path);
  if (!ours(status) || (status.st_mode & (S_IWOTH | S_IWGRP)) != 0)
    return Error(errc::denied, "refused to read " + path + ": other users can write it: chown it to root, chmod go-w");
  std::string text(settings_bytes_at_most + 1, '\0');
  std::size_t size = 0;
  for (ssize_t n = 1; n > 0 && size < text.size(); size += static_cast<std::size_t>(n)) {
    n = read(file.get(), text.data() + size, text.size() - size);
    if (n < 0) return Error::from_errno("cannot read " + path);
  }
  if (size > settings_bytes_at_most) return Error(errc::invalid, path + " is larger than 1 MiB");
  text.resize(size);
  return text;
}

}  // namespace nightjar
