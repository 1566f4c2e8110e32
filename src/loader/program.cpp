// SPDX-License-Identifier: Apache-2.0
#include "nightjar/program.hpp"

#include <utility>

namespace nightjar {

std::string_view to_string(ProgramKind kind) {
  switch (kind) {
    case ProgramKind::kprobe:
      return "kprobe";
    case ProgramKind::kretprobe:
      return "kretprobe";
    case ProgramKind::uprobe:
      return "uprobe";
    case ProgramKind::uretprobe:
      return "uretprobe";
    case ProgramKind::usdt:
      return "usdt";
    case ProgramKind::tracepoint:
      return "tracepoint";
    case ProgramKind::raw_tracepoint:
      return "raw_tp";
    case ProgramKind::tp_btf:
      return "tp_btf";
    case ProgramKind::fentry:
      return "fentry";
    case ProgramKind::fexit:
      return "fexit";
    case ProgramKind::fmod_ret:
      return "fmod_ret";
    case ProgramKind::lsm:
      return "lsm";
    case ProgramKind::iterator:
      return "iter";
    case ProgramKind::cgroup:
      return "cgroup";
    case ProgramKind::socket:
      return "socket";
    case ProgramKind::other:
      return "other";
  }
  return "unknown";
}

Program::Program(std::string name, std::vector<std::string> attach_points)
    : name_(std::move(name)), attach_points_(std::move(attach_points)) {}

Program& Program::syscall() {
  syscall_ = true;
  return *this;
}

Program& Program::all_points() {
  all_points_ = true;
  return *this;
}

Program& Program::optional() {
  optional_ = true;
  return *this;
}

Program& Program::kind(ProgramKind kind) {
  kind_ = kind;
  return *this;
}

Program& Program::pid(int process) {
  pid_ = process;
  return *this;
}

Program& Program::socket(int descriptor) {
  socket_ = descriptor;
  return *this;
}

Program& Program::tail_call(std::string map, std::uint32_t index) {
  tail_calls_.push_back({.map = std::move(map), .index = index});
  return *this;
}

}  // namespace nightjar
