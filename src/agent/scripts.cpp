// SPDX-License-Identifier: Apache-2.0
#include "agent/scripts.hpp"

#include <algorithm>
#include <array>
#include <deque>

#include <fcntl.h>
#include <unistd.h>

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "agent/image.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {
namespace {

constexpr std::string_view descriptors = "/dev/fd/";
constexpr std::size_t chain_limit = 5;  // the kernel gives up after five rewrites (fs/exec.c, exec_binprm)

struct Opened {
  Script script;
  std::string start;
};

/// Symbolic links are followed as the process would: below its root. openat2 has no wrapper in glibc (kernel 5.6).
UniqueFd open_below(int root, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT;
  return UniqueFd(static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
}

/// "/dev/fd/N" or "/dev/fd/N/REST": what the kernel calls a file that was given to execveat by descriptor.
UniqueFd open_descriptor(std::uint32_t pid, std::string_view path) {
  path.remove_prefix(descriptors.size());
  const std::string number(path.substr(0, path.find('/')));
  path.remove_prefix(number.size());
  UniqueFd file(open(("/proc/" + std::to_string(pid) + "/fd/" + number).c_str(), O_PATH | O_CLOEXEC));
  return path.size() > 1 ? open_below(file.get(), std::string(path)) : std::move(file);
}

/// Never blocks and has no side effect on devices or FIFOs: looked at with O_PATH first, opened only if regular.
bool look_at(const FileView& view, const std::string& path, Opened& out) {
  const std::string absolute = path.starts_with('/') ? path : view.directory + '/' + path;
  const UniqueFd at =
      path.starts_with(descriptors) ? open_descriptor(view.pid, path) : open_below(view.root_fd, absolute);
  struct stat status{};
  if (!at.valid() || fstat(at.get(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  const UniqueFd file(open(("/proc/self/fd/" + std::to_string(at.get())).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  std::array<char, 256> start{};  // BINPRM_BUF_SIZE: all that the kernel looks at
  const ssize_t n = file.valid() ? read(file.get(), start.data(), start.size()) : -1;
  if (n < 0) return false;
  out.start.assign(start.data(), static_cast<std::size_t>(n));
  out.script.inode = status.st_ino;
  out.script.device = major(status.st_dev) << 20 | minor(status.st_dev);
  // The path as resolved, without symbolic links, as the hooks of the other tiers tell it.
  std::array<char, 8192> resolved{};
  const ssize_t length =
      readlink(("/proc/self/fd/" + std::to_string(at.get())).c_str(), resolved.data(), resolved.size());
  out.script.path.assign(resolved.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  return length > 0;
}

}  // namespace

std::string scripts_json(const std::vector<Script>& scripts, std::vector<json::Named>& raw) {
  std::string value = "[";
  bool exact = true;
  std::string bytes = "[";
  for (const Script& script : scripts) {
    if (value.size() > 1) {
      value += ',';
      bytes += ',';
    }
    value += "{\"path\":";
    exact &= json::string(value, script.path);
    json::base64(bytes, script.path);
    value += ",\"inode\":";
    json::number(value, script.inode);
    value += ",\"device\":\"";
    json::number(value, script.device >> 20);
    value += ':';
    json::number(value, script.device & 0xfffff);
    value += "\"}";
  }
  value += ']';
  if (!exact) raw.emplace_back("nightjar.exec.scripts", bytes + ']');
  return value;
}

ShebangLine parse_shebang(std::string_view start) {
  ShebangLine line;
  if (!start.starts_with("#!")) return line;
  start = start.substr(2, start.find('\n') - 2);
  const auto trim = [](std::string_view& text) {
    const auto first = text.find_first_not_of(" \t");
    text.remove_prefix(std::min(first, text.size()));
    text = text.substr(0, text.find_last_not_of(std::string_view(" \t\0", 3)) + 1);
  };
  trim(start);
  const auto end = start.find_first_of(std::string_view(" \t\0", 3));
  line.interpreter = start.substr(0, end);
  if (end == std::string_view::npos) return line;
  std::string_view rest = start.substr(end);
  trim(rest);
  line.argument = rest.substr(0, rest.find('\0'));
  return line;
}

std::vector<Script> derive_scripts(const FileView& view, std::string_view filename, std::string_view interpreter,
                                   const std::vector<std::string_view>& argv) {
  std::vector<Script> chain;
  // What the kernel puts before the caller's arguments: for each level, the interpreter, its argument, the script.
  std::deque<std::string> expected{std::string(filename)};
  std::string path(filename);
  for (std::size_t level = 0; level < chain_limit; ++level) {
    Opened opened;
    if (!look_at(view, path, opened)) return {};
    const ShebangLine line = parse_shebang(opened.start);
    if (line.interpreter.empty()) break;  // the interpreter itself: the chain ends
    chain.push_back(std::move(opened.script));
    if (!line.argument.empty()) expected.push_front(line.argument);
    expected.push_front(line.interpreter);
    path = line.interpreter;
  }
  const bool explains = !chain.empty() && path == interpreter && argv.size() >= expected.size() &&
                        std::equal(expected.begin(), expected.end(), argv.begin());
  return explains ? chain : std::vector<Script>{};
}

}  // namespace nightjar
