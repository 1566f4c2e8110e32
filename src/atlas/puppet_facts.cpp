// SPDX-License-Identifier: Apache-2.0
// Each fact: a way to it in names, and what must be there. Values come from procfs, stat(2) and the like; nothing here
// knows a number of any kernel's layout. What a fact leaves open (pairs that hold the same, counters that are 0) is
// closed by reading what stands beside it: those orders have been the same in every kernel since 4.4.
#include "atlas/puppet_facts.hpp"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <unistd.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

namespace nightjar::atlas {
namespace {

using Steps = std::vector<std::string>;

template <class... T>
std::string bytes_of(T... values) {
  std::string out;
  (out.append(reinterpret_cast<const char*>(&values), sizeof values), ...);
  return out;
}

std::string text(std::string value) {
  return value + '\0';
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

/// Numbers after the command's name in stat; fields[0] is field 3 of proc(5), the state, as 0.
std::vector<std::uint64_t> stat_fields(const std::string& folder) {
  const std::string line = content_of(folder + "/stat");
  const std::size_t end = line.rfind(") ");
  std::vector<std::uint64_t> fields;
  if (end == std::string::npos) return fields;
  std::istringstream rest(line.substr(end + 3));
  fields.push_back(0);
  for (std::string word; rest >> word;)
    fields.push_back(static_cast<std::uint64_t>(std::strtoll(word.c_str(), nullptr, 10)));
  return fields;
}
std::uint64_t field(const std::vector<std::uint64_t>& fields, std::size_t number) {
  return number - 3 < fields.size() ? fields[number - 3] : 0;
}

/// "KEY:  words" of a file of such lines.
std::vector<std::string> line_of(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key + ":")) continue;
    std::istringstream rest(line.substr(key.size() + 1));
    std::vector<std::string> words;
    for (std::string word; rest >> word;) words.push_back(word);
    return words;
  }
  return {};
}

std::uint64_t number_of(const std::vector<std::string>& words, std::size_t index, int base = 10) {
  return index < words.size() ? std::strtoull(words[index].c_str(), nullptr, base) : 0;
}

/// The six numbers of /proc/PID/io that struct task_io_accounting has, in its order.
std::vector<std::uint64_t> io_of(const std::string& folder) {
  std::vector<std::uint64_t> io;
  for (const char* key : {"rchar", "wchar", "syscr", "syscw", "read_bytes", "write_bytes"}) {
    const auto words = line_of(folder + "/io", key);
    if (words.empty()) return {};
    io.push_back(number_of(words, 0));
  }
  return io;
}

std::uint32_t namespace_of(const std::string& folder, const std::string& name) {
  struct stat status{};
  return stat((folder + "/ns/" + name).c_str(), &status) == 0 ? static_cast<std::uint32_t>(status.st_ino) : 0;
}

Steps operator+(Steps steps, const Steps& more) {
  steps.insert(steps.end(), more.begin(), more.end());
  return steps;
}

class Facts {
 public:
  explicit Facts(const Puppet& puppet)
      : puppet_(puppet),
        process_("/proc/" + std::to_string(puppet.process)),
        thread_(process_ + "/task/" + std::to_string(puppet.thread)),
        dead_("/proc/" + std::to_string(puppet.dead)) {}

  Knowledge all() {
    identity();
    credentials();
    namespaces();
    memory();
    control_groups();
    signals();
    made_up_file();
    places();
    dead_process();
    exec();
    numbers();
    return std::move(known_);
  }

 private:
  void fact(Steps path, std::string expected) { known_.facts.push_back({std::move(path), std::move(expected)}); }
  void likely(Steps path, std::string expected) {
    known_.facts.push_back({.path = std::move(path), .expected = std::move(expected), .certain = false});
  }
  void shaped(Shape shape, Steps path, std::string expected = {}) {
    known_.facts.push_back({.path = std::move(path), .expected = std::move(expected), .shape = shape});
  }

  void identity() {
    const auto id = [](pid_t pid) { return bytes_of(static_cast<std::uint32_t>(pid)); };
    fact({"task_struct.pid"}, id(puppet_.thread));
    fact({"task_struct.tgid"}, id(puppet_.process));
    fact({"task_struct.group_leader", "task_struct.pid"}, id(puppet_.process));
    fact({"task_struct.real_parent", "task_struct.tgid"}, id(puppet_.parent));
    shaped(Shape::pointer_twice, {"task_struct.real_parent - 8"});  // and parent
    fact({"task_struct.comm"}, text(sentinel::name));
    const auto fields = stat_fields(thread_);
    const std::uint64_t tick_ns = 1'000'000'000 / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
    const std::uint64_t started = field(fields, 22) * tick_ns;
    shaped(Shape::soon_after, {"task_struct.start_boottime - 8"}, bytes_of(started, started + tick_ns));
    const auto flags = static_cast<std::uint32_t>(field(fields, 9));
    constexpr std::uint32_t waits = 0x40000000;  // PF_FREEZER_SKIP, before 6.1: only while it waits for what to do
    for (const char* step : {"task_struct.flags", "task_struct.ptrace - 4"}) {
      likely({step}, bytes_of(flags, std::uint32_t{0}));
      known_.facts.back().or_else = bytes_of(flags & ~waits, std::uint32_t{0});
    }
    // Whether it came in as a 32-bit program (it did not), and behind it the CPU, which is not the first.
    likely({"task_struct.thread_info.status"},
           bytes_of(std::uint32_t{0}, static_cast<std::uint32_t>(field(fields, 39))));
    const auto login = content_of(thread_ + "/loginuid"), session = content_of(thread_ + "/sessionid");
    if (!login.empty() && !session.empty()) {
      const std::string both =
          bytes_of(static_cast<std::uint32_t>(std::stoul(login)), static_cast<std::uint32_t>(std::stoul(session)));
      fact({"task_struct.loginuid.val"}, both);
      fact({"task_struct.loginuid"}, both);
    }
    // Pids: of the thread in both pid namespaces, of group and session.
    const auto pids = line_of(thread_ + "/status", "NSpid");
    if (pids.size() == 2) {
      fact(pid_ + Steps{"pid.level"}, bytes_of(std::uint32_t{1}));
      // The count of references in front of it may be a 1 as well, but behind it is the lock (since 5.7, 63f818f46af9).
      likely(pid_ + Steps{"pid.level"}, bytes_of(std::uint32_t{1}, std::uint32_t{0}));
      fact(pid_ + Steps{"pid.numbers + 1 * upid + upid.nr"}, bytes_of(static_cast<std::uint32_t>(number_of(pids, 1))));
      fact(pid_ + Steps{"pid.numbers + 1 * upid + upid.ns", "pid_namespace.ns.inum"},
           bytes_of(namespace_of(thread_, "pid")));
    }
    fact(pid_ + Steps{"pid.numbers.nr"}, id(puppet_.thread));
    fact(pid_ + Steps{"pid.numbers + upid.nr"}, id(puppet_.thread));
    fact(pid_ + Steps{"pid.tasks.first", "- task_struct.pid_links + task_struct.pid"}, id(puppet_.thread));
    fact({"task_struct.signal", "signal_struct.pids + 16", "pid.numbers.nr"}, id(puppet_.process));
    fact({"task_struct.signal", "signal_struct.pids + 24", "pid.numbers.nr"}, id(puppet_.parent));
#if defined(__x86_64__)
    // What the system call in progress left at the end of the stack: its number. Kernels that can use FRED leave 16
    // bytes more.
    constexpr int stack_bytes = 16384, registers_bytes = 168, number_at = 120;
    for (const int more : {0, 16})
      likely({"task_struct.stack", std::to_string(stack_bytes - more - registers_bytes + number_at)},
             bytes_of(std::uint64_t{SYS_prctl}));
#endif
  }

  void credentials() {
    const auto uids = line_of(thread_ + "/status", "Uid"), gids = line_of(thread_ + "/status", "Gid");
    std::string ids;  // uid, gid, suid, sgid, euid, egid, fsuid, fsgid
    for (const std::size_t which : {0, 2, 1, 3}) {
      ids += bytes_of(static_cast<std::uint32_t>(number_of(uids, which)));
      ids += bytes_of(static_cast<std::uint32_t>(number_of(gids, which)));
    }
    int at = 0;
    for (const char* name : {"uid", "gid", "suid", "sgid", "euid", "egid", "fsuid", "fsgid"})
      fact(cred_ + Steps{"cred." + std::string(name) + ".val - " + std::to_string(4 * at++)}, ids);
    shaped(Shape::pointer_twice, {"task_struct.real_cred - 8"});  // and cred
    std::string sets;
    for (const char* name : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
      sets += bytes_of(number_of(line_of(thread_ + "/status", name), 0, 16));
    at = 0;
    for (const char* name : {"inheritable", "permitted", "effective", "bset", "ambient"})
      fact(cred_ + Steps{"cred.cap_" + std::string(name) + " - " + std::to_string(8 * at++)}, sets);
    const Steps user = cred_ + Steps{"cred.user_ns"};
    fact(user + Steps{"user_namespace.ns.inum"}, bytes_of(namespace_of(thread_, "user")));
    // The first ranges are said in the ids of whoever reads: the same as the kernel's in the first namespace only.
    std::istringstream whole(content_of("/proc/self/uid_map"));
    std::uint64_t inside = 1, outside = 1, count = 0;
    whole >> inside >> outside >> count;
    if (inside != 0 || outside != 0 || count != UINT32_MAX) return;
    fact(user + Steps{"user_namespace.level"},
         bytes_of(std::uint32_t{1}, static_cast<std::uint32_t>(geteuid()), static_cast<std::uint32_t>(getegid())));
    const std::string range = bytes_of(sentinel::first, sentinel::lower_first, sentinel::count);
    fact(user + Steps{"user_namespace.uid_map.extent.first"}, range);
    fact(user + Steps{"user_namespace.uid_map.extent.lower_first - 4"}, range);
    fact(user + Steps{"user_namespace.uid_map.nr_extents"}, bytes_of(std::uint32_t{2}));
  }

  void namespaces() {
    const Steps proxy = {"task_struct.nsproxy"};
    for (const char* name : {"uts", "ipc", "mnt", "net", "cgroup", "time"}) {
      const std::uint32_t number = namespace_of(thread_, name);
      if (number == 0) continue;
      const std::string type = std::string(name) == "net" ? "net" : std::string(name) + "_namespace";
      fact(proxy + Steps{"nsproxy." + std::string(name) + "_ns", type + ".ns.inum"}, bytes_of(number));
    }
    fact(proxy + Steps{"nsproxy.pid_ns_for_children", "pid_namespace.ns.inum"}, bytes_of(namespace_of(thread_, "pid")));
    shaped(Shape::pointer_twice, proxy + Steps{"nsproxy.time_ns - 8"});  // and that of children
  }

  void memory() {
    const auto fields = stat_fields(thread_);
    shaped(Shape::pointer_twice, {"task_struct.mm - 8"});  // and active_mm
    const std::string span = bytes_of(field(fields, 48), field(fields, 49), field(fields, 50), field(fields, 51));
    int at = 0;
    for (const char* name : {"arg_start", "arg_end", "env_start", "env_end"})
      fact({"task_struct.mm", "mm_struct." + std::string(name) + " - " + std::to_string(8 * at++)}, span);
    std::error_code problem;
    std::string path = std::filesystem::read_symlink("/proc/self/exe", problem);
    if (path.ends_with(" (deleted)")) path.resize(path.size() - 10);
    if (!problem)
      fact({"task_struct.mm", "mm_struct.exe_file", "file.f_path.dentry", "dentry.d_name.name", "0"},
           text(path.substr(path.rfind('/') + 1)));
  }

  void control_groups() {
    if (puppet_.cgroup.empty()) return;
    struct stat own{}, parent{};
    const std::size_t slash = puppet_.cgroup.rfind('/');
    if (stat(puppet_.cgroup.c_str(), &own) != 0 || stat(puppet_.cgroup.substr(0, slash).c_str(), &parent) != 0) return;
    int level = 0;
    std::istringstream groups(content_of(process_ + "/cgroup"));
    for (std::string line; std::getline(groups, line);) {
      if (line.starts_with("0::")) level = static_cast<int>(std::count(line.begin(), line.end(), '/'));
    }
    const Steps group = {"task_struct.cgroups", "css_set.dfl_cgrp"};
    const std::string id = bytes_of(std::uint64_t{own.st_ino}), parent_id = bytes_of(std::uint64_t{parent.st_ino});
    // In a cgroup namespace the path begins somewhere below the root.
    constexpr std::uint32_t first_namespace = 0xeffffffb;
    if (namespace_of("/proc/self", "cgroup") != first_namespace) return;
    fact(group + Steps{"cgroup.level"}, bytes_of(static_cast<std::int32_t>(level)));
    fact(group + Steps{"cgroup.kn", "kernfs_node.id"}, id);
    fact(group + Steps{"cgroup.kn", "kernfs_node.name", "0"}, text(puppet_.cgroup.substr(slash + 1)));
    for (const char* name : {"__parent", "parent"})
      fact(group + Steps{"cgroup.kn", "kernfs_node." + std::string(name), "kernfs_node.id"}, parent_id);
    const std::string last = std::to_string(8 * level);
    fact(group + Steps{"cgroup.ancestors + " + last, "cgroup.kn", "kernfs_node.id"}, id);
    fact(group + Steps{"cgroup.ancestor_ids + " + last}, id);
    // A pointer for each controller, then a count. Only the exact number tells the first pointer from the second.
    const auto names = controllers();
    known_.facts.push_back({.path = {"task_struct.cgroups", "css_set.subsys"},
                            .expected = bytes_of(std::uint64_t{names.size()}),
                            .shape = Shape::pointers,
                            .certain = false});
    for (const char* name : {"memory", "pids"}) {
      const auto found = std::find(names.begin(), names.end(), name);
      if (found == names.end()) continue;
      const auto number = found - names.begin();
      Want want{.kind = TypeKind::enumeration, .root = "cgroup_subsys_id", .path = {std::string(name) + "_cgrp_id"}};
      known_.numbers.push_back({std::move(want), number});
      likely({"task_struct.cgroups", "css_set.subsys + " + std::to_string(8 * number), "cgroup_subsys_state.cgroup",
              "cgroup.kn", "kernfs_node.id"},
             bytes_of(counting_cgroup(level, name)));
    }
  }

  /// Those that this kernel has, in the order of their numbers (include/linux/cgroup_subsys.h). Neither list has all:
  /// one has what version 1 can use, the other what version 2 can.
  [[nodiscard]] std::vector<std::string> controllers() const {
    std::vector<std::string> known = {"cpuset",  "cpu",     "cpuacct",    "io",       "memory",  "devices",
                                      "freezer", "net_cls", "perf_event", "net_prio", "hugetlb", "pids",
                                      "rdma",    "misc",    "dmem",       "debug"};
    std::vector<std::string> there;
    std::istringstream first(content_of("/proc/cgroups"));
    for (std::string line; std::getline(first, line);) {
      const std::string name = line.substr(0, line.find('\t'));
      if (!line.starts_with('#')) there.push_back(name == "blkio" ? "io" : name);
    }
    std::string root = puppet_.cgroup;  // up to where there are controllers without a limit from above
    for (std::string up = root; up.size() > 1 && std::filesystem::exists(up + "/cgroup.controllers");
         up = up.substr(0, up.rfind('/')))
      root = up;
    std::istringstream second(content_of(root + "/cgroup.controllers"));
    for (std::string name; second >> name;) there.push_back(name);
    std::erase_if(known, [&there](const std::string& name) {
      return std::find(there.begin(), there.end(), name) == there.end();
    });
    return known;
  }

  /// The cgroup that a controller counts the puppet for: the nearest whose parent has it switched on, else the root.
  [[nodiscard]] std::uint64_t counting_cgroup(int level, const std::string& controller) const {
    std::string folder = puppet_.cgroup;
    for (; level > 0; --level) {
      const std::string parent = folder.substr(0, folder.rfind('/'));
      std::istringstream on(content_of(parent + "/cgroup.subtree_control"));
      bool here = false;
      for (std::string word; on >> word;) here |= word == controller;
      if (here) break;
      folder = parent;
    }
    struct stat status{};
    return stat(folder.c_str(), &status) == 0 ? status.st_ino : 0;
  }

  void signals() {
    const Steps signal = {"task_struct.signal"};
    const std::string counts = bytes_of(std::uint32_t{2}, std::uint32_t{1}, std::uint32_t{2});
    fact(signal + Steps{"signal_struct.live.counter - 4"}, counts);  // references, living threads, threads
    fact(signal + Steps{"signal_struct.nr_threads - 8"}, counts);
    fact({"task_struct.sighand", "sighand_struct.action + " + std::to_string(sentinel::handled_signal - 1) +
                                     " * k_sigaction + k_sigaction.sa.sa_handler"},
         bytes_of(sentinel::handler));
    struct stat status{};
    if (puppet_.terminal.valid() && fstat(puppet_.terminal.get(), &status) == 0) {
      const std::uint32_t kind = major(status.st_rdev);
      const Steps terminal = signal + Steps{"signal_struct.tty"};
      fact(terminal + Steps{"tty_struct.index"}, bytes_of(static_cast<std::uint32_t>(minor(status.st_rdev))));
      fact(terminal + Steps{"tty_struct.driver", "tty_driver.major"}, bytes_of(kind, std::uint32_t{0}));
      fact(terminal + Steps{"tty_struct.driver", "tty_driver.minor_start - 4"}, bytes_of(kind, std::uint32_t{0}));
    }
    // The main thread, which does not run any more.
    const Steps leader = {"task_struct.group_leader"};
    const std::string folder = process_ + "/task/" + std::to_string(puppet_.process);
    fact(leader + Steps{"task_struct.exit_code"}, bytes_of(std::uint32_t{sentinel::leader_status << 8U}));
    (void)stat_fields(folder);  // makes the kernel work out what it shows, which it keeps
    const std::string run = content_of(folder + "/schedstat");
    if (!run.empty()) {
      const std::uint64_t ran = std::stoull(run);
      fact(leader + Steps{"task_struct.se.sum_exec_runtime"}, bytes_of(ran));
      shaped(Shape::cpu_times, leader + Steps{"task_struct.utime"}, bytes_of(ran, std::uint64_t{1}));
      shaped(Shape::cpu_times, leader + Steps{"task_struct.stime - 8"}, bytes_of(ran, std::uint64_t{1}));
    }
    accounting(leader, "task_struct", io_of(folder));
  }

  void accounting(const Steps& way, const std::string& type, const std::vector<std::uint64_t>& io) {
    if (io.empty()) return;
    std::string all;
    for (const std::uint64_t one : io) all += bytes_of(one);
    likely(way + Steps{type + ".ioac.read_bytes - 32"}, all);
    likely(way + Steps{type + ".ioac.write_bytes - 40"}, all);
  }

  [[nodiscard]] static Steps descriptor(int number) {
    return {"task_struct.files", "files_struct.fdt", "fdtable.fd", std::to_string(8 * number)};
  }

  void made_up_file() {
    const int number = puppet_.file.get();
    struct stat status{};
    struct statfs system{};
    if (fstat(number, &status) != 0 || fstatfs(number, &system) != 0) return;
    const Steps open = descriptor(number), inode = open + Steps{"file.f_inode"};
    fact(inode + Steps{"inode.i_ino"}, bytes_of(std::uint64_t{status.st_ino}));
    fact(inode + Steps{"inode.i_size"}, bytes_of(std::uint64_t{sentinel::file_size}));
    fact(inode + Steps{"inode.i_mode"}, bytes_of(static_cast<std::uint16_t>(status.st_mode)));
    const std::string ids = bytes_of(sentinel::file_uid, sentinel::file_gid);
    fact(inode + Steps{"inode.i_uid.val"}, ids);
    fact(inode + Steps{"inode.i_gid.val - 4"}, ids);
    const auto seconds = static_cast<std::int64_t>(status.st_ctim.tv_sec);
    const auto part = static_cast<std::uint32_t>(status.st_ctim.tv_nsec);
    const auto times = [&](const std::string& modified, const std::string& changed, const std::string& join) {
      fact(inode + Steps{"inode." + modified + join + "sec"}, bytes_of(sentinel::mtime_sec));
      fact(inode + Steps{"inode." + modified + join + "nsec"}, bytes_of(sentinel::mtime_nsec));
      fact(inode + Steps{"inode." + changed + join + "sec"}, bytes_of(seconds));
      fact(inode + Steps{"inode." + changed + join + "nsec"}, bytes_of(part));
      known_.facts.back().or_else = bytes_of(part | 0x80000000U);  // somebody asked: bpf/fixes.bpf.h
    };
    times("i_mtime", "i_ctime", "_");
    for (const char* modified : {"i_mtime", "__i_mtime"}) {
      for (const char* changed : {"i_ctime", "__i_ctime"}) times(modified, changed, ".tv_");
    }
    const Steps super = inode + Steps{"inode.i_sb"};
    fact(super + Steps{"super_block.s_magic"}, bytes_of(static_cast<std::uint64_t>(system.f_type)));
    fact(super + Steps{"super_block.s_dev"},
         bytes_of(static_cast<std::uint32_t>(major(status.st_dev) << 20U | minor(status.st_dev))));
    fact(super + Steps{"super_block.s_type", "file_system_type.name", "0"}, text("tmpfs"));
    const auto flags = line_of(thread_ + "/fdinfo/" + std::to_string(number), "flags");
    if (!flags.empty())
      likely(open + Steps{"file.f_flags"}, bytes_of(static_cast<std::uint32_t>(number_of(flags, 0, 8) & ~02000000U)));
    const auto table = line_of(process_ + "/task/" + std::to_string(puppet_.thread) + "/status", "FDSize");
    fact({"task_struct.files", "files_struct.fdt", "fdtable.max_fds"},
         bytes_of(static_cast<std::uint32_t>(number_of(table, 0))));
    // A file in memory has no place: it hangs on nothing, and is its own parent.
    const Steps dentry = open + Steps{"file.f_path.dentry"};
    fact(dentry + Steps{"dentry.d_parent", "dentry.d_name.name", "0"}, text("memfd:nj-proof"));
    fact(dentry + Steps{"dentry.d_hash.pprev"}, bytes_of(std::uint64_t{0}));
    fact(dentry + Steps{"dentry.d_inode", "inode.i_ino"}, bytes_of(std::uint64_t{status.st_ino}));
    fact(dentry + Steps{"dentry.d_sb", "super_block.s_magic"}, bytes_of(static_cast<std::uint64_t>(system.f_type)));
    fact(open + Steps{"file.f_path + path.dentry", "dentry.d_inode", "inode.i_ino"},
         bytes_of(std::uint64_t{status.st_ino}));
    fact(open + Steps{"file.f_path + path.mnt", "vfsmount.mnt_sb", "super_block.s_magic"},
         bytes_of(static_cast<std::uint64_t>(system.f_type)));
    fact(open + Steps{"file.f_path.mnt", "vfsmount.mnt_sb", "super_block.s_magic"},
         bytes_of(static_cast<std::uint64_t>(system.f_type)));
  }

  /// A line of /proc/self/mountinfo.
  struct MountLine {
    std::string id, parent, root, point, source;
  };
  [[nodiscard]] std::vector<MountLine> mounts() const {
    std::vector<MountLine> all;
    std::istringstream file(content_of(thread_ + "/mountinfo"));
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      MountLine mount;
      std::string skipped;
      words >> mount.id >> mount.parent >> skipped >> mount.root >> mount.point;
      while (words >> skipped && skipped != "-") {
      }
      words >> skipped >> mount.source;
      all.push_back(std::move(mount));
    }
    return all;
  }

  void places() {
    const Steps here = {"task_struct.fs", "fs_struct.pwd.dentry"}, mount = {"task_struct.fs", "fs_struct.pwd.mnt"};
    const Steps name = {"dentry.d_name.name", "0"};
    fact(here + name, text("kernel"));
    known_.facts.push_back(
        {.path = {"task_struct.fs - 8"}, .expected = {}, .shape = Shape::pointer_last, .certain = false});
    // A dentry that is hashed is pointed at by what comes before it.
    fact(here + Steps{"dentry.d_hash.pprev", "0", "- dentry.d_hash.pprev + 8 + dentry.d_name.name", "0"},
         text("kernel"));
    struct stat status{}, inner{};
    if (fstat(puppet_.inner.get(), &inner) == 0)
      fact(here + Steps{"dentry.d_inode", "inode.i_ino"}, bytes_of(std::uint64_t{inner.st_ino}));
    if (fstat(puppet_.top.get(), &status) == 0) {
      fact(here + Steps{"dentry.d_parent", "dentry.d_inode", "inode.i_ino"}, bytes_of(std::uint64_t{status.st_ino}));
      fact(descriptor(puppet_.top.get()) + Steps{"file.f_inode", "inode.i_nlink"},
           bytes_of(static_cast<std::uint32_t>(status.st_nlink)));
    }
    struct statfs system{};
    if (fstatfs(puppet_.inner.get(), &system) == 0)
      fact(mount + Steps{"vfsmount.mnt_sb", "super_block.s_magic"},
           bytes_of(static_cast<std::uint64_t>(system.f_type)));
    fact(mount + Steps{"- mount.mnt + mount.mnt_ns", "mnt_namespace.ns.inum"}, bytes_of(namespace_of(thread_, "mnt")));
    const auto all = mounts();
    // The last that was mounted there hides the others.
    const auto sys = std::find_if(all.rbegin(), all.rend(), [](const MountLine& one) { return one.point == "/sys"; });
    if (sys == all.rend()) return;
    fact(mount + Steps{"- mount.mnt + mount.mnt_devname", "0"}, text(sys->source));
    if (sys->root == "/") fact(mount + Steps{"- mount.mnt + mount.mnt.mnt_root"} + name, text("/"));
    fact(mount + Steps{"- mount.mnt + mount.mnt_mountpoint"} + name, text("sys"));
    const auto above =
        std::find_if(all.begin(), all.end(), [&](const MountLine& one) { return one.id == sys->parent; });
    if (above != all.end()) {
      fact(mount + Steps{"- mount.mnt + mount.mnt_parent", "mount.mnt_devname", "0"}, text(above->source));
      fact({"task_struct.fs", "fs_struct.root.mnt", "- mount.mnt + mount.mnt_devname", "0"}, text(above->source));
    }
  }

  void dead_process() {
    const Steps pid =
        descriptor(puppet_.dead_folder.get()) + Steps{"file.f_inode", "- proc_inode.vfs_inode + proc_inode.pid"};
    const std::string own = bytes_of(static_cast<std::uint32_t>(puppet_.dead));
    fact(pid + Steps{"pid.numbers.nr"}, own);
    fact(pid + Steps{"pid.tasks.first", "- task_struct.pid_links + task_struct.tgid"}, own);
    const auto status = bytes_of(std::uint32_t{sentinel::dead_status << 8U});
    fact(pid + Steps{"pid.tasks.first", "- task_struct.pid_links + task_struct.exit_code"}, status);
    const Steps signal = pid + Steps{"pid.tasks.first", "- task_struct.pid_links + task_struct.signal"};
    fact(signal + Steps{"signal_struct.group_exit_code"}, status);
    constexpr std::uint32_t group_exit = 4;  // SIGNAL_GROUP_EXIT, include/linux/sched/signal.h
    fact(signal + Steps{"signal_struct.flags"}, bytes_of(group_exit));
    rusage used{};
    siginfo_t info{};
    if (syscall(SYS_waitid, P_PID, puppet_.dead, &info, WEXITED | WNOWAIT | WNOHANG, &used) == 0)
      fact(signal + Steps{"signal_struct.maxrss"}, bytes_of(static_cast<std::uint64_t>(used.ru_maxrss) * 1024 /
                                                            static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE))));
    // Whole process less its main thread: what the threads left behind.
    const std::string main = dead_ + "/task/" + std::to_string(puppet_.dead);
    auto io = io_of(dead_);
    const auto of_main = io_of(main);
    for (std::size_t index = 0; index < io.size() && index < of_main.size(); ++index) io[index] -= of_main[index];
    if (!of_main.empty()) accounting(signal, "signal_struct", io);
    (void)stat_fields(dead_);
    const std::string run = content_of(main + "/schedstat");
    timespec clock{};
    // CPUCLOCK_SCHED of a process: include/linux/posix-timers.h
    const auto clock_id = static_cast<clockid_t>(~static_cast<unsigned>(puppet_.dead) << 3U | 2U);
    if (run.empty() || clock_gettime(clock_id, &clock) != 0) return;
    const std::uint64_t whole =
        static_cast<std::uint64_t>(clock.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(clock.tv_nsec);
    fact(signal + Steps{"signal_struct.sum_sched_runtime"}, bytes_of(whole - std::stoull(run)));
    shaped(Shape::cpu_times, signal + Steps{"signal_struct.utime"}, bytes_of(whole, std::uint64_t{4}));
    shaped(Shape::cpu_times, signal + Steps{"signal_struct.stime - 8"}, bytes_of(whole, std::uint64_t{4}));
  }

  void exec() {
    const auto of_exec = [this](Steps path, std::string expected) {
      known_.facts.push_back({.path = std::move(path), .expected = std::move(expected), .start = Start::exec});
    };
    const std::string folder = "/proc/self/fd/";
    of_exec({"linux_binprm.filename", "0"}, text(folder + std::to_string(puppet_.script.get())));
    of_exec({"linux_binprm.interp", "0"}, text(folder + std::to_string(puppet_.program.get())));
    of_exec({"linux_binprm.argc"}, bytes_of(std::uint32_t{4}));  // interpreter, its argument, script, argument
    of_exec({"linux_binprm.buf"},
            "\x7f"
            "ELF");
    struct stat status{};
    if (fstat(puppet_.program.get(), &status) == 0)
      of_exec({"linux_binprm.file", "file.f_inode", "inode.i_ino"}, bytes_of(std::uint64_t{status.st_ino}));
  }

  void numbers() {
    // The kernel says how large the objects of its caches are. This one has a constructor, so it is merged with none.
    std::ifstream file("/sys/kernel/slab/inode_cache/object_size");
    std::int64_t size = 0;
    if (file >> size) known_.numbers.push_back({{.kind = TypeKind::structure, .root = "inode", .path = {}}, size});
  }

  const Puppet& puppet_;
  std::string process_, thread_, dead_;
  Steps pid_ = {"task_struct.thread_pid"}, cred_ = {"task_struct.real_cred"};
  Knowledge known_;
};

}  // namespace

Knowledge knowledge_of(const Puppet& puppet) {
  return Facts(puppet).all();
}

}  // namespace nightjar::atlas
