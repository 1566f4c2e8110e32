// SPDX-License-Identifier: Apache-2.0
#include "agent/syscall_dispatch.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include <seccomp.h>

namespace nightjar {
namespace {

constexpr std::string_view enter_map = "syscall_enter";
constexpr std::string_view exit_map = "syscall_exit";
constexpr std::string_view second = "_more";  // the maps of those that the first program of a call calls
constexpr const char* enter_program = "syscalls__enter";
constexpr const char* exit_program = "syscalls__exit";

/// The first slot for the attach point of a system call; none for another point, and for a call that this machine does
/// not have.
std::optional<TailCallSlot> slot_of(std::string_view point) {
  constexpr std::string_view enter = "syscalls/sys_enter_";
  constexpr std::string_view exit = "syscalls/sys_exit_";
  const bool enters = point.starts_with(enter);
  if (!enters && !point.starts_with(exit)) return std::nullopt;
  std::string name(point.substr(enters ? enter.size() : exit.size()));
  if (name == "umount") name = "umount2";  // the function's name, not the call's
  int number = seccomp_syscall_resolve_name(name.c_str());
  if (number < 0 && name == "fchmodat2") number = 452;  // on every machine; Debian 12's libseccomp does not know it
  if (number < 0) return std::nullopt;
  return TailCallSlot{std::string(enters ? enter_map : exit_map), static_cast<std::uint32_t>(number)};
}

bool calls_next(const ProgramBlueprint::ProgramInfo& program) {
  return std::any_of(program.maps.begin(), program.maps.end(), [](const std::string& map) {
    return map.ends_with(second) && (map.starts_with(enter_map) || map.starts_with(exit_map));
  });
}

/// The program, attached to these points only.
Program only_at(const Program& program, const std::vector<std::string>& points) {
  Program result(program.name(), points);
  if (program.is_optional()) result.optional();
  if (program.wants_all_points()) result.all_points();
  if (points.empty()) result.kind(ProgramKind::other);
  return result;
}

}  // namespace

ProgramVersion SyscallDispatch::through(const ProgramVersion& version, const ProgramBlueprint& blueprint) const {
  ProgramVersion result = version;
  Taken taken = taken_;
  bool any = false;
  for (Program& program : result.programs) {
    const auto* info = blueprint.find_program(program.name());
    if (info == nullptr || info->kind != ProgramKind::raw_tracepoint) continue;
    std::vector<std::string> points = program.attach_points();
    if (points.empty()) points.push_back(info->attach_point);
    const bool calls_on = calls_next(*info);
    std::vector<std::string> others;
    std::vector<TailCallSlot> slots;
    for (const std::string& point : points) {
      auto slot = slot_of(point);
      bool found = slot && taken.emplace(std::pair(slot->map, slot->index), calls_on).second;
      if (slot && !found && !calls_on && taken.at({slot->map, slot->index})) {
        slot->map += second;
        found = taken.emplace(std::pair(slot->map, slot->index), false).second;
      }
      if (found) {
        slots.push_back(std::move(*slot));
      } else {
        others.push_back(point);
      }
    }
    if (slots.empty()) continue;
    program = only_at(program, others);
    for (TailCallSlot& slot : slots) program.tail_call(std::move(slot.map), slot.index);
    any = true;
  }
  if (any && !there_) result.programs.insert(result.programs.begin(), {Program(enter_program), Program(exit_program)});
  return result;
}

void SyscallDispatch::loaded(const ProgramVersion& version, const ProgramBlueprint& blueprint) {
  for (const Program& program : version.programs) {
    there_ = there_ || program.name() == enter_program;
    const auto* info = blueprint.find_program(program.name());
    for (const TailCallSlot& slot : program.tail_calls())
      taken_.emplace(std::pair(slot.map, slot.index), info != nullptr && calls_next(*info));
  }
}

std::string SyscallDispatch::told(const std::string& hook) {
  for (const std::string_view map : {enter_map, exit_map}) {
    const auto at = hook.rfind(map);
    if (at != std::string::npos) return "raw_tp/sys_" + std::string(map.substr(map.find('_') + 1));
  }
  return hook;
}

}  // namespace nightjar
