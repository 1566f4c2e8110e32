// SPDX-License-Identifier: Apache-2.0
#include "atlas/files.hpp"

#include <algorithm>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include "nightjar/unique_fd.hpp"

namespace nightjar::atlas {

Result<MappedFile> MappedFile::open(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return Error::from_errno("open " + path);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return Error::from_errno("stat " + path);
  if (!S_ISREG(status.st_mode)) return Error(errc::invalid, path + ": not a regular file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return MappedFile(nullptr, 0);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) return Error::from_errno("map " + path);
  return MappedFile(data, size);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<std::string> read_whole(const std::string& path, std::size_t most) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return Error::from_errno("open " + path);
  constexpr std::size_t at_once = std::size_t{256} << 10U;
  struct stat status{};
  std::string all;
  // Grown for each piece, megabytes of sysfs, which gives 4 KiB at a time, are moved as often as read.
  if (::fstat(file.get(), &status) == 0 && status.st_size > 0)
    all.resize(std::min(static_cast<std::size_t>(status.st_size), most) + 1);
  std::size_t used = 0;
  for (;;) {
    if (used > most) return Error(errc::invalid, path + ": larger than " + std::to_string(most) + " bytes");
    if (used == all.size()) all.resize(used + at_once);
    const ssize_t count = ::read(file.get(), all.data() + used, all.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno("read " + path);
    used += static_cast<std::size_t>(count);
    if (count == 0) break;
  }
  all.resize(used);
  return all;
}

Result<> write_whole(const std::string& path, std::string_view bytes) {
  std::string beside = path + ".XXXXXX";
  const UniqueFd file(::mkostemp(beside.data(), O_CLOEXEC));
  if (!file.valid()) return Error::from_errno("create a file beside " + path);
  const auto give_up = [&](const std::string& what) {
    Error error = Error::from_errno(what);
    ::unlink(beside.c_str());
    return error;
  };
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(file.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return give_up("write " + path);
    done += static_cast<std::size_t>(count);
  }
  if (::fchmod(file.get(), 0644) != 0 || ::fsync(file.get()) != 0) return give_up("write " + path);
  if (::rename(beside.c_str(), path.c_str()) != 0) return give_up("rename to " + path);
  return {};
}

}  // namespace nightjar::atlas
