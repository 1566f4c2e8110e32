// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nightjar/api.hpp"

namespace nightjar {

/// How a program is attached. Taken from its ELF section unless Program::kind() says otherwise.
enum class ProgramKind : std::uint8_t {
  kprobe,      ///< attach point: a kernel function, "name" or "name+0x1f"
  kretprobe,   ///< attach point: a kernel function
  uprobe,      ///< attach point: "PATH:function", "PATH:function+0x1f" or "PATH:0x1234" (offset in the file); a PATH
               ///< without '/' is looked for where the dynamic linker (libraries) and the shell (programs) would
  uretprobe,   ///< attach point: as uprobe
  usdt,        ///< attach point: "PATH:provider:name"
  tracepoint,  ///< attach point "category/name"
  raw_tracepoint,  ///< attach point "name"
  tp_btf,          ///< attach point "name"; fixed at load time
  fentry,          ///< attach point: a kernel function; fixed at load time
  fexit,
  fmod_ret,
  lsm,
  iterator,  ///< attach point: the iterated thing, "task"
  cgroup,    ///< attach point: a directory of the cgroup file system
  socket,    ///< a socket filter, for the descriptor that Program::socket() gives
  other,     ///< loaded, never attached by the library
};

NIGHTJAR_API std::string_view to_string(ProgramKind kind);

/// A place in a map of programs.
struct TailCallSlot {
  std::string map;
  std::uint32_t index = 0;
};

/// One BPF program of a blueprint and how to use it. A value: copy it freely.
class NIGHTJAR_API Program {
 public:
  /// `name` is the C function's name in the object. `attach_points` are functions or tracepoints, tried in turn
  /// until one exists here; empty: the one that the ELF section names.
  explicit Program(std::string name, std::vector<std::string> attach_points = {});

  /// The attach points are system calls ("sys_clone" or "clone"): the library finds this architecture's prefix
  /// ("__x64_", "__arm64_", none).
  Program& syscall();
  /// Attach to every attach point in place of the first that exists.
  Program& all_points();
  /// When this program cannot be loaded or attached, the version goes on without it and says so
  /// (LoadedProgram::absent_because).
  Program& optional();
  /// Overrides the kind that the ELF section names.
  Program& kind(ProgramKind kind);
  /// uprobe, uretprobe, usdt: only in this process. Without it, in every process that has the file mapped or will have.
  Program& pid(int process);
  /// socket: the descriptor to filter. It is duplicated when the program is attached.
  Program& socket(int descriptor);
  /// Put into this slot of a map of programs (BPF_MAP_TYPE_PROG_ARRAY) before anything of the version is attached; may
  /// be called again for further slots. A program that is only called from others needs no attach point; with
  /// kind(ProgramKind::other), the one that its section names is not used.
  Program& tail_call(std::string map, std::uint32_t index);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::vector<std::string>& attach_points() const { return attach_points_; }
  [[nodiscard]] bool is_syscall() const { return syscall_; }
  [[nodiscard]] bool is_optional() const { return optional_; }
  [[nodiscard]] bool wants_all_points() const { return all_points_; }
  [[nodiscard]] std::optional<ProgramKind> kind() const { return kind_; }
  [[nodiscard]] std::optional<int> pid() const { return pid_; }
  [[nodiscard]] std::optional<int> socket() const { return socket_; }
  [[nodiscard]] const std::vector<TailCallSlot>& tail_calls() const { return tail_calls_; }

 private:
  std::string name_;
  std::vector<std::string> attach_points_;
  std::optional<ProgramKind> kind_;
  std::optional<int> pid_, socket_;
  std::vector<TailCallSlot> tail_calls_;
  bool syscall_ = false;
  bool all_points_ = false;
  bool optional_ = false;
};

}  // namespace nightjar
