// SPDX-License-Identifier: Apache-2.0
#include "tracefs.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

#include <linux/perf_event.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

namespace nightjar {
namespace {

constexpr long tracefs_magic = 0x74726163;

/// /proc/self/mounts writes space, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    unsigned value = 0;
    if (text.size() >= 4 && text[0] == '\\' &&
        std::from_chars(text.data() + 1, text.data() + 4, value, 8).ptr == text.data() + 4) {
      out += static_cast<char>(value);
      text.remove_prefix(4);
    } else {
      out += text[0];
      text.remove_prefix(1);
    }
  }
  return out;
}

UniqueFd open_root(const std::string& path) {
  UniqueFd root(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct statfs status{};
  if (root.valid() && (::fstatfs(root.get(), &status) != 0 || status.f_type != tracefs_magic)) root.reset();
  return root;
}

/// A tracefs that is mounted where this process can reach it; not valid when there is none. Paths are not tried
/// blindly: touching /sys/kernel/debug/tracing would mount one.
UniqueFd open_mounted() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string source;
    std::string path;
    std::string type;
    if (!(fields >> source >> path >> type) || type != "tracefs") continue;
    if (UniqueFd root = open_root(unescape(path)); root.valid()) return root;
  }
  return UniqueFd();
}

/// Before 4.1 the files were debugfs's own, in the same place.
UniqueFd open_in_debugfs() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string source;
    std::string path;
    std::string type;
    if (!(fields >> source >> path >> type) || type != "debugfs") continue;
    UniqueFd root(::open((unescape(path) + "/tracing").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (root.valid() && ::faccessat(root.get(), "events", F_OK, 0) == 0) return root;
  }
  return UniqueFd();
}

}  // namespace

bool is_locked_down() {
  std::ifstream lockdown("/sys/kernel/security/lockdown");
  std::string levels;
  return std::getline(lockdown, levels) && levels.find("[confidentiality]") != std::string::npos;
}

Result<Tracefs> Tracefs::open(const std::string& mount_at) {
  if (UniqueFd mounted = open_mounted(); mounted.valid()) return Tracefs(std::move(mounted));
  // A kernel (6.12.118) whose tracefs nobody has mounted crashed in tracefs_destroy_inode() when one was asked for.
  if (is_locked_down())
    return Error(errc::denied, "no tracefs: the kernel is locked down (lockdown=confidentiality)", EPERM);
  auto own = open_private();
  if (own || own.error().sys() != ENOSYS) return own;
  // Only now: looking into a debugfs mounts a tracefs there, where the kernel has both.
  if (UniqueFd old = open_in_debugfs(); old.valid()) return Tracefs(std::move(old));
  if (!mount_at.empty()) return mount(mount_at);
  return std::move(own).error().in("set GroupOptions::mount_tracefs_at, or mount it");
}

Result<Tracefs> Tracefs::mount(const std::string& path) {
  if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST && errno != EPERM && errno != EROFS) {
    return Error::from_errno("make directory " + path);
  }
  constexpr unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME;
  if (::mount("tracefs", path.c_str(), "tracefs", flags, nullptr) != 0 && errno != EBUSY) {
    return Error::from_errno("mount tracefs at " + path);
  }
  UniqueFd root = open_root(path);
  if (!root.valid()) return Error::from_errno("open tracefs at " + path);
  return Tracefs(std::move(root));
}

Result<Tracefs> Tracefs::duplicate() const {
  UniqueFd copy(::fcntl(root_.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return Error::from_errno("duplicate a descriptor of tracefs");
  return Tracefs(std::move(copy));
}

Result<std::string> Tracefs::read(const std::string& file) const {
  const UniqueFd fd(::openat(root_.get(), file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return Error::from_errno("tracefs " + file);
  std::string text;
  std::array<char, 4096> chunk{};
  for (;;) {
    const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("tracefs " + file + ": read");
    if (got == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

Result<> Tracefs::append(const std::string& file, std::string_view line) const {
  const UniqueFd fd(::openat(root_.get(), file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!fd.valid()) return Error::from_errno("tracefs " + file);
  if (::write(fd.get(), line.data(), line.size()) < 0) return Error::from_errno("tracefs " + file + ": write");
  return {};
}

Result<Tracefs> Tracefs::open_private() {
  const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC)));
  if (!context.valid()) {
    if (errno == ENOSYS)
      return Error(errc::unsupported, "tracefs is not mounted and this kernel has no fsopen", ENOSYS);
    if (errno == ENODEV) return Error(errc::unsupported, "this kernel has no tracefs", ENODEV);
    return Error::from_errno("fsopen tracefs");
  }
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return Error::from_errno("create a private tracefs");
  }
  UniqueFd root(static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, 0)));
  if (!root.valid()) return Error::from_errno("fsmount tracefs");
  return Tracefs(std::move(root));
}

Result<std::uint64_t> Tracefs::event_id(const std::string& event) const {
  const auto slash = event.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == event.size() ||
      event.find('/', slash + 1) != std::string::npos || event.find("..") != std::string::npos) {
    return Error(errc::invalid, "tracepoint '" + event + "' is not of the form category/name");
  }
  const UniqueFd file(::openat(root_.get(), ("events/" + event + "/id").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) {
    if (errno == ENOENT) return Error(errc::not_found, "no tracepoint " + event + " in this kernel", ENOENT);
    return Error::from_errno("tracepoint " + event);
  }
  std::array<char, 32> text{};
  const ssize_t got = ::read(file.get(), text.data(), text.size());
  if (got < 0) return Error::from_errno("tracepoint " + event + ": read id");
  std::uint64_t id = 0;
  if (std::from_chars(text.data(), text.data() + got, id).ec != std::errc()) {
    return Error(errc::system, "tracepoint " + event + ": its id is no number");
  }
  return id;
}

namespace {

perf_event_attr attributes_of(std::uint64_t id) {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = PERF_TYPE_TRACEPOINT;
  attributes.config = id;
  attributes.sample_period = 1;
  attributes.wakeup_events = 1;
  return attributes;
}

int open_event(perf_event_attr attributes, int pid, int cpu) {
  return static_cast<int>(::syscall(SYS_perf_event_open, &attributes, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC));
}

}  // namespace

Result<UniqueFd> open_tracepoint(std::uint64_t id, std::optional<int> pid) {
  // A program on a tracepoint's perf event runs on every CPU, whichever the event was opened on.
  UniqueFd event(open_event(attributes_of(id), pid.value_or(-1), pid ? -1 : 0));
  if (!event.valid()) return Error::from_errno("perf_event_open of a tracepoint");
  return event;
}

Result<> may_open_tracepoint(std::uint64_t id) {
  // Of no process on no CPU: that is refused after the rights were looked at.
  const UniqueFd event(open_event(attributes_of(id), -1, -1));
  if (!event.valid() && errno != EINVAL) return Error::from_errno("perf_event_open of a tracepoint");
  return {};
}

}  // namespace nightjar
