// SPDX-License-Identifier: Apache-2.0
#include "pins.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

#include <bpf/bpf.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace nightjar::pins {
namespace {

constexpr long bpf_fs_magic = 0xcafe4a11;

std::string parent(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder;
}

Result<> check_file_system(const std::string& folder) {
  struct statfs status{};
  if (::statfs(folder.c_str(), &status) != 0) return Error::from_errno(folder);
  if (static_cast<unsigned long>(status.f_type) == static_cast<unsigned long>(bpf_fs_magic)) return {};
  return Error(errc::invalid, folder + " is not in a BPF file system (one is made with: mount -t bpf bpf /sys/fs/bpf)");
}

}  // namespace

Result<UniqueFd> open(const std::string& path) {
  UniqueFd fd(::bpf_obj_get(path.c_str()));
  if (!fd.valid()) return Error::from_errno("pinned at " + path);
  return fd;
}

Result<> pin(int fd, const std::string& path) {
  NIGHTJAR_CHECK(check_file_system(parent(path)));
  if (::bpf_obj_pin(fd, path.c_str()) == 0) return {};
  const int sys = errno;
  if (sys == EEXIST) return Error(errc::busy, "pin at " + path + ": something is pinned there", sys);
  if (sys == EINVAL) return Error(errc::unsupported, "pin at " + path + ": this kernel cannot pin it", sys);
  return Error::from_errno("pin at " + path, sys);
}

Result<> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) return Error::from_errno("make directory " + path);
  return check_file_system(path);
}

Result<std::vector<std::string>> list(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  while (!error && entries != std::filesystem::directory_iterator()) {
    names.push_back(entries->path().filename());
    entries.increment(error);
  }
  if (error && error.value() != ENOENT) return Error::from_errno("read " + directory, error.value());
  return names;
}

std::string join(const std::vector<std::string>& parts) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string name;
  for (std::size_t index = 0; index < parts.size(); ++index) {
    if (index != 0) name += '~';
    for (const char c : parts[index]) {
      if (c == '/' || c == '.' || c == '%' || c == '~') {
        const auto byte = static_cast<unsigned char>(c);
        name += '%';
        name += digits[byte >> 4U];
        name += digits[byte & 15U];
      } else {
        name += c;
      }
    }
  }
  return name;
}

std::vector<std::string> split(std::string_view name) {
  std::vector<std::string> parts(1);
  while (!name.empty()) {
    unsigned byte = 0;
    if (name.front() == '~') {
      parts.emplace_back();
    } else if (name.size() >= 3 && name.front() == '%' &&
               std::from_chars(name.data() + 1, name.data() + 3, byte, 16).ptr == name.data() + 3) {
      parts.back() += static_cast<char>(byte);
      name.remove_prefix(2);
    } else {
      parts.back() += name.front();
    }
    name.remove_prefix(1);
  }
  return parts;
}

}  // namespace nightjar::pins
