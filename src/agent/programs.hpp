// SPDX-License-Identifier: Apache-2.0
// The registry: which programs make which events, and in which versions they are tried.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nightjar/blueprint.hpp"
#include "nightjar/program_group.hpp"
#include "wire/events.hpp"

namespace nightjar {

/// An event, and the program (in any version) whose hook is the event's.
struct EventSourceRow {
  Kind kind;
  std::string_view program_stem;  ///< programs are named STEM__HOOK
};

/// Programs that are loaded together. A group that this kernel refuses costs its events and no other's.
struct GroupSpec {
  std::string_view name;
  std::vector<EventSourceRow> events;
  std::vector<ProgramVersion> versions;  ///< best first; ProgramVersion::name is the tier
  bool essential;                        ///< the sensor cannot do without it
  bool only_when_named;                  ///< not loaded unless one of its events is asked for by name
};

const std::vector<GroupSpec>& program_groups();

/// The version with the second and third copy of each program that can be preempted (bpf/turn.bpf.h).
ProgramVersion with_stand_ins(const ProgramVersion& version);

/// The event that a program makes, or the program's stem when it only adds to one ("exec_script").
std::string_view event_of_program(std::string_view program);

/// Every tier's name, best first.
const std::vector<std::string_view>& tier_names();

/// The BPF object inside this executable.
Result<ProgramBlueprint> probes_blueprint();

/// What a tier cannot tell about an event although its hook is there; empty: nothing is missing.
std::string_view degradation(Kind kind, std::string_view tier);

}  // namespace nightjar
