// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nightjar {

/// How a program is attached. Taken from its ELF section unless Program::kind() says otherwise.
enum class ProgramKind : std::uint8_t {
  kprobe,
  kretprobe,
  tracepoint,      ///< attach point "category/name"
  raw_tracepoint,  ///< attach point "name"
  tp_btf,          ///< attach point "name"; fixed at load time
  fentry,          ///< attach point: a kernel function; fixed at load time
  fexit,
  fmod_ret,
  lsm,
  iterator,  ///< attach point: the iterated thing, "task"
  other,     ///< loaded, never attached by the library
};

std::string_view to_string(ProgramKind kind);

/// One BPF program of a blueprint and how to use it. A value: copy it freely.
class Program {
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

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::vector<std::string>& attach_points() const { return attach_points_; }
  [[nodiscard]] bool is_syscall() const { return syscall_; }
  [[nodiscard]] bool is_optional() const { return optional_; }
  [[nodiscard]] bool wants_all_points() const { return all_points_; }
  [[nodiscard]] std::optional<ProgramKind> kind() const { return kind_; }

 private:
  std::string name_;
  std::vector<std::string> attach_points_;
  std::optional<ProgramKind> kind_;
  bool syscall_ = false;
  bool all_points_ = false;
  bool optional_ = false;
};

}  // namespace nightjar
