// SPDX-License-Identifier: Apache-2.0
#include "agent/proc_snapshot.hpp"

#include <array>
#include <charconv>
#include <cstring>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "agent/cgroup_scope.hpp"
#include "agent/host.hpp"

namespace nightjar {
namespace {

// include/linux/proc_ns.h: the numbers of the namespaces that the kernel begins with.
constexpr std::uint32_t first_user_namespace = 0xeffffffd;
constexpr std::uint32_t first_pid_namespace = 0xeffffffc;
constexpr std::uint32_t first_cgroup_namespace = 0xeffffffb;
constexpr std::uint32_t first_time_namespace = 0xeffffffa;

constexpr std::string_view deleted_suffix = " (deleted)";

/// Files of one process, by a descriptor of its directory: it stays that process's, whoever gets the pid next.
std::string read_at(int process, const char* name) {
  const UniqueFd file(openat(process, name, O_RDONLY | O_CLOEXEC));
  std::string text;
  if (!file.valid()) return text;
  std::size_t size = 0;
  for (ssize_t got = 1; got > 0; size += static_cast<std::size_t>(got)) {
    text.resize(size + 1024);
    got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0) break;
  }
  text.resize(size);
  return text;
}

/// Empty when the link cannot be read.
std::string link_at(int process, const char* name) {
  std::array<char, 4096> target;  // the kernel tells no longer one
  const ssize_t size = readlinkat(process, name, target.data(), target.size());
  return size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : std::string();
}

std::uint32_t own_namespace(const char* name) {
  return namespace_number(link_at(AT_FDCWD, ("/proc/self/ns/" + std::string(name)).c_str()));
}

/// The path that a link leads to, whose name may have been removed: the kernel then adds " (deleted)", which may as
/// well be part of a name. True: it was removed.
bool take_deleted(int process, const struct stat& file, std::string& path) {
  if (!path.ends_with(deleted_suffix)) return false;
  for (const std::string& name : {path, "root" + path}) {
    struct stat named{};
    if (fstatat(process, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == file.st_ino &&
        named.st_dev == file.st_dev)
      return false;
  }
  path.resize(path.size() - deleted_suffix.size());
  return true;
}

constexpr std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// A record with its tail.
class RecordBytes {
 public:
  explicit RecordBytes(std::size_t fixed_size) { grow(fixed_size); }
  template <class T>
  T& as() {
    return *reinterpret_cast<T*>(words_.data());
  }
  wire_slice add(std::string_view text) {
    const auto at = static_cast<std::uint32_t>(size_);
    grow(size_ + text.size());
    std::memcpy(reinterpret_cast<char*>(words_.data()) + at, text.data(), text.size());
    return {at, static_cast<std::uint32_t>(text.size())};
  }
  std::span<std::byte> finished() {
    as<wire_header>().size = static_cast<std::uint32_t>(size_);
    return std::as_writable_bytes(std::span(words_)).first(size_);
  }

 private:
  void grow(std::size_t size) {
    size_ = size;
    words_.resize((size + 7) / 8);
  }
  std::size_t size_ = 0;
  std::vector<std::uint64_t> words_;  // records are aligned to 8 bytes
};

void fill_namespaces(int process, wire_namespaces& ns) {
  const auto of = [process](const char* name) { return namespace_number(link_at(process, name)); };
  ns = {of("ns/mnt"), of("ns/pid"), of("ns/net"),    of("ns/user"),
        of("ns/uts"), of("ns/ipc"), of("ns/cgroup"), of("ns/time")};
}

void fill_status(const ProcStatus& status, process_exec& exec) {
  wire_task& task = exec.task;
  task.vpid = status.innermost_pid != 0 ? status.innermost_pid : task.pid;
  task.ruid = status.uids[0];
  task.uid = status.uids[1];
  task.suid = status.uids[2];
  task.rgid = status.gids[0];
  task.gid = status.gids[1];
  task.sgid = status.gids[2];
  exec.cap_inheritable = status.inheritable;
  exec.cap_permitted = status.permitted;
  exec.cap_effective = status.effective;
  exec.cap_bounding = status.bounding;
  exec.cap_ambient = status.ambient;
}

/// fill_capabilities() of bpf/exec.bpf.h.
bool has_file_capabilities(int process, const process_exec& exec) {
  const std::uint32_t root =
      exec.task.ns.user == first_user_namespace ? 0 : root_of_uid_map(read_at(process, "uid_map"));
  return root != ~0U && exec.task.uid != root && exec.task.ruid != root &&
         (exec.cap_permitted & ~exec.cap_ambient) != 0;
}

/// What runs. Sets the path; empty: it cannot be told.
void fill_file(int process, process_exec& exec, std::string& path) {
  path = link_at(process, "exe");
  struct stat file{};
  if (path.empty() || fstatat(process, "exe", &file, 0) != 0) {
    path.clear();
    exec.hdr.incomplete |= WIRE_MISSING_EXECUTABLE;
    return;
  }
  exec.file.inode = file.st_ino;
  exec.file.size = static_cast<std::uint64_t>(file.st_size);
  exec.file.mtime_ns = nanoseconds(file.st_mtim);
  exec.file.ctime_ns = nanoseconds(file.st_ctim);
  exec.file.dev = major(file.st_dev) << 20 | minor(file.st_dev);
  exec.file.mode = file.st_mode;
  exec.file.uid = file.st_uid;
  exec.file.gid = file.st_gid;
  if ((file.st_mode & S_ISUID) != 0) exec.flags |= WIRE_EXEC_SETUID;
  if ((file.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP)) exec.flags |= WIRE_EXEC_SETGID;
  const bool deleted = take_deleted(process, file, path);
  if (deleted && file.st_nlink == 0 && path.starts_with("/memfd:")) {
    exec.flags |= WIRE_EXEC_MEMFD;
  } else if (deleted || file.st_nlink == 0) {
    exec.flags |= WIRE_EXEC_DELETED;
  }
}

std::string working_directory(int process) {
  std::string path = link_at(process, "cwd");
  struct stat directory{};
  if (fstatat(process, "cwd", &directory, 0) == 0) take_deleted(process, directory, path);
  return path;
}

}  // namespace

std::string ProcSnapshot::why_not() {
  if (link_at(AT_FDCWD, "/proc/self") != std::to_string(getpid())) return "/proc is not of the agent's pid namespace";
  // 0: the kernel has only the first.
  const std::uint32_t pids = own_namespace("pid");
  if (pids != 0 && pids != first_pid_namespace)
    return "in a pid namespace, /proc does not tell the ids of the root pid namespace";
  const std::uint32_t time = own_namespace("time");
  if (time != 0 && time != first_time_namespace) return "in a time namespace, /proc tells other start times";
  return {};
}

std::uint64_t ProcSnapshot::start_step_ns() {
  return 1'000'000'000 / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
}

Result<ProcSnapshot> ProcSnapshot::of(const Scope& scope, const Map* tree) {
  ProcSnapshot snapshot;
  snapshot.what_ = scope.what;
  snapshot.tree_ = tree;
  if (scope.what == Scope::What::cgroup) snapshot.scope_cgroup_ = NIGHTJAR_TRY(find_cgroup(scope.path)).id;
  snapshot.mounts_ = parse_cgroup_mounts(read_small_file("/proc/self/mountinfo"));
  const std::uint32_t cgroups = own_namespace("cgroup");
  snapshot.cgroups_are_absolute_ = cgroups == 0 || cgroups == first_cgroup_namespace;
  return snapshot;
}

Result<> ProcSnapshot::read(bool only_self, const SnapshotVisit& visit) {
  if (only_self) {
    NIGHTJAR_CHECK(read_process(static_cast<std::uint32_t>(getpid()), visit));
    return {};
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(opendir("/proc"), closedir);
  if (!proc) return Error::from_errno("/proc");
  while (const dirent* entry = readdir(proc.get())) {
    const std::string_view name = static_cast<const char*>(entry->d_name);
    std::uint32_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc()) continue;
    if (!NIGHTJAR_TRY(read_process(pid, visit))) break;
  }
  return {};
}

bool ProcSnapshot::may_be_in_tree(std::uint32_t pid, std::uint64_t start_ns) const {
  const auto entry = tree_->get<std::uint32_t, wire_scope_entry>(pid);
  if (!entry || entry->children_only != 0) return false;
  return entry->start_ns == 0 || entry->start_ns - entry->start_ns % start_step_ns() == start_ns;
}

std::optional<std::uint64_t> ProcSnapshot::start_of(std::uint32_t pid) {
  const auto known = starts_.find(pid);
  if (known != starts_.end()) return known->second;
  const auto stat = parse_proc_stat(read_small_file("/proc/" + std::to_string(pid) + "/stat"));
  if (!stat) return std::nullopt;
  starts_[pid] = stat->start_ticks;
  return stat->start_ticks;
}

/// A parent that has ended meanwhile left its child to another.
void ProcSnapshot::fill_parent(int process, std::uint32_t parent, wire_header& header, wire_task& task) {
  const std::uint64_t own_ticks = task.start_ns / start_step_ns();
  for (int attempt = 0; attempt < 3 && parent != 0; ++attempt) {
    const auto ticks = start_of(parent);
    if (ticks && *ticks <= own_ticks) {
      task.parent_pid = parent;
      task.parent_start_ns = *ticks * start_step_ns();
      return;
    }
    starts_.erase(parent);  // of whoever had the pid before
    const auto again = parse_proc_stat(read_at(process, "stat"));
    if (!again) break;
    parent = again->parent;
  }
  if (parent != 0) header.incomplete |= WIRE_UNKNOWN_PARENT;
}

/// Where a cgroup's directory is, with the point of the mount that it is below; empty: nowhere.
ProcSnapshot::Place ProcSnapshot::place_of(bool unified, std::string_view controller, const std::string& path) const {
  for (const CgroupMount& mount : mounts_) {
    if (unified ? !mount.is_unified : !mount.controls(controller)) continue;
    const std::string root = mount.root == "/" ? "" : mount.root;
    if (!path.starts_with(root) || (path.size() != root.size() && path[root.size()] != '/')) continue;
    const std::string below = path == "/" ? "" : path.substr(root.size());
    return {mount.point + below, mount.point.size()};
  }
  return {};
}

bool ProcSnapshot::is_below_scope(const std::string& unified_path) const {
  const Place place = place_of(true, {}, unified_path);
  for (std::string above = place.directory; !above.empty() && above.size() >= place.mount_size;
       above.resize(above.rfind('/'))) {
    struct stat status{};
    if (stat(above.c_str(), &status) == 0 && status.st_ino == scope_cgroup_) return true;
  }
  return false;
}

/// task_cgroup() of bpf/cgroup.bpf.h, with the path of what it chooses.
ProcSnapshot::Cgroup& ProcSnapshot::cgroup_of(const std::string& text, std::string& path) {
  const ProcCgroups all = parse_proc_cgroup(text);
  const auto below_root = [](const std::optional<std::string>& one) { return one && one->size() > 1; };
  bool unified = false;
  std::string_view controller;
  if (below_root(all.memory) && !below_root(all.unified)) {
    controller = "memory";
    path = *all.memory;
  } else if (below_root(all.pids) && !below_root(all.unified)) {
    controller = "pids";
    path = *all.pids;
  } else if (all.unified) {
    unified = true;
    path = *all.unified;
  }
  const auto [known, is_new] = cgroups_.try_emplace(text);
  if (is_new) {
    struct stat status{};
    const std::string directory = path.empty() ? path : place_of(unified, controller, path).directory;
    if (!directory.empty() && stat(directory.c_str(), &status) == 0) known->second.id = status.st_ino;
    known->second.in_scope = what_ == Scope::What::cgroup && all.unified && is_below_scope(*all.unified);
  }
  return known->second;
}

Result<bool> ProcSnapshot::read_process(std::uint32_t pid, const SnapshotVisit& visit) {
  const bool is_self = pid == static_cast<std::uint32_t>(getpid());
  // A process that is not in the tree is not even looked at.
  if (!is_self && what_ == Scope::What::tree && !tree_->get<std::uint32_t, wire_scope_entry>(pid)) return true;
  const UniqueFd process(open(("/proc/" + std::to_string(pid)).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!process.valid()) return true;
  const auto stat = parse_proc_stat(read_at(process.get(), "stat"));
  if (!stat) return true;
  starts_[pid] = stat->start_ticks;
  if (!stat->has_memory) return true;

  RecordBytes record(sizeof(process_exec));
  auto& header = record.as<wire_header>();
  auto& exec = record.as<process_exec>();
  exec = {};
  header.kind = WIRE_PROCESS_SNAPSHOT;
  header.is_self = is_self;
  header.seq = header.time_ns = boot_clock_ns();  // no two have the same: each takes longer than that clock's step
  exec.task.pid = exec.task.tid = pid;
  exec.task.start_ns = stat->start_ticks * start_step_ns();
  if (!is_self && what_ == Scope::What::tree && !may_be_in_tree(pid, exec.task.start_ns)) return true;

  std::string path_of_cgroup;
  Cgroup& cgroup = cgroup_of(read_at(process.get(), "cgroup"), path_of_cgroup);
  if (!is_self && what_ == Scope::What::cgroup && !cgroup.in_scope) return true;
  exec.task.cgroup_id = cgroup.id;
  if (cgroup.id == 0) header.incomplete |= WIRE_MISSING_CGROUP;

  const auto status = parse_proc_status(read_at(process.get(), "status"));
  std::string name = read_at(process.get(), "comm");
  if (!status || name.empty()) return true;  // gone
  name.pop_back();
  std::memcpy(exec.task.comm, name.data(), std::min(name.size(), sizeof exec.task.comm - 1));
  fill_status(*status, exec);
  const std::string login = read_at(process.get(), "loginuid");
  exec.task.login_uid = ~0U;
  std::from_chars(login.data(), login.data() + login.size(), exec.task.login_uid);
  fill_namespaces(process.get(), exec.task.ns);
  fill_parent(process.get(), stat->parent, header, exec.task);
  if (has_file_capabilities(process.get(), exec)) exec.flags |= WIRE_EXEC_FILE_CAPS;
  exec.session_pid = stat->session;
  exec.group_pid = stat->group;
  exec.tty_major = stat->tty_major;
  exec.tty_minor = stat->tty_minor;
  std::string executable;
  fill_file(process.get(), exec, executable);
  const std::string directory = working_directory(process.get());
  if (directory.empty()) header.incomplete |= WIRE_MISSING_CWD;
  // One more look: what was read of a process that was ending is not whole.
  const auto still = parse_proc_stat(read_at(process.get(), "stat"));
  if (!still || !still->has_memory) return true;

  // From here on the record may move.
  const wire_slice executable_slice = record.add(path_components(executable));
  const wire_slice directory_slice = record.add(path_components(directory));
  record.as<process_exec>().executable = executable_slice;
  record.as<process_exec>().cwd = directory_slice;
  if (!cgroup.told && cgroup.id != 0 && cgroups_are_absolute_) {
    cgroup.told = true;
    RecordBytes told(sizeof(::cgroup_path));
    told.as<::cgroup_path>() = {};
    told.as<wire_header>().kind = WIRE_CGROUP;
    told.as<::cgroup_path>().id = cgroup.id;
    const wire_slice slice = told.add(path_components(path_of_cgroup));
    told.as<::cgroup_path>().path = slice;
    if (!NIGHTJAR_TRY(visit(told.finished()))) return false;
  }
  return visit(record.finished());
}

}  // namespace nightjar
