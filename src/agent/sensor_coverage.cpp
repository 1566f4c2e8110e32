// SPDX-License-Identifier: Apache-2.0
// What each event's coverage is: seen, seen in part, absent, and why.
#include <string>

#include "agent/proved_programs.hpp"
#include "agent/sensor.hpp"

namespace nightjar {

void Sensor::cover(const GroupSpec& spec, const LoadedGroup& group, const std::string& tier,
                   const SensorOptions& options) {
  if (spec.essential) tier_ = tier;
  const auto left_out = [&](const EventSourceRow& row, bool adds) {
    for (const ProgramVersion& version : spec.versions) {
      if (version.name != tier) continue;
      if (auto why = left_out_because(version, row, types_.left_out, adds); !why.empty()) return why;
    }
    return std::string();
  };
  for (const EventSourceRow& row : spec.events) {
    if (!spec.essential && !options.wanted.contains(row.kind)) {
      coverage_.push_back({row.kind, "off", "", "", "not asked for"});
      continue;
    }
    const LoadedProgram* first = nullptr;
    const LoadedProgram* refused = nullptr;
    std::string reason(degradation(row.kind, tier));
    if (const std::string why = left_out(row, true); !why.empty()) reason = "not everything is seen: " + why;
    for (const LoadedProgram& program : group.programs()) {
      if (!makes(program.name, row)) continue;
      if (first == nullptr) first = &program;
      if (!program.hook.empty()) continue;
      if (!only_adds(program.name)) {
        refused = &program;
      } else if (reason.empty()) {
        reason = "not everything is seen: " + program.absent_because;
      }
    }
    if (row.kind == Kind::process_snapshot && (first == nullptr || refused != nullptr) &&
        ProcSnapshot::why_not().empty()) {
      coverage_.push_back({row.kind, "degraded", "procfs", tier, std::string(snapshot_from_proc)});
      hooks_.emplace_back(row.kind, json::quoted(coverage_.back().hook));
    } else if (first == nullptr) {
      const std::string why = left_out(row, false);
      coverage_.push_back({row.kind, "absent", "", tier, why.empty() ? std::string(absence(row.kind, tier)) : why});
    } else if (refused != nullptr) {
      coverage_.push_back({row.kind, "absent", "", tier, refused->absent_because});
    } else {
      coverage_.push_back(
          {row.kind, reason.empty() ? "active" : "degraded", SyscallDispatch::told(first->hook), tier, reason});
      hooks_.emplace_back(row.kind, json::quoted(coverage_.back().hook));
    }
  }
  for (const LoadedProgram& program : group.programs()) sees_scripts_ |= program.name.starts_with("exec_script__");
}

void Sensor::cover_absent(const GroupSpec& spec, const std::string& state, const std::string& reason) {
  for (const EventSourceRow& row : spec.events) coverage_.push_back({row.kind, state, "", "", reason});
}

Result<> Sensor::check_named(const SensorOptions& options) const {
  for (const Coverage& row : coverage_) {
    if (row.state == "absent" && options.named.contains(row.kind))
      return Error(errc::unsupported,
                   "this kernel cannot deliver " + std::string(event_info(row.kind).action) + ": " + row.reason);
  }
  return {};
}

std::string_view Sensor::hook(Kind kind) const {
  for (const auto& [known, hook] : hooks_) {
    if (known == kind) return hook;
  }
  return {};
}

}  // namespace nightjar
