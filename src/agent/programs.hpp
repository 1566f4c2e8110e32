// SPDX-License-Identifier: Apache-2.0
// The registry: which programs make which events, and in which versions they are tried.
#pragma once

#include <set>
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
  std::string_view program_stem;   ///< programs are named STEM__HOOK; STEM_enter__HOOK belongs to it
  std::string_view also = {};      ///< stem of programs of another event without which this one is not whole
  std::string_view common_stem{};  ///< of the program that makes it together with others, in another tier
};

/// Programs that are loaded together. A group that this kernel refuses costs its events and no other's.
struct GroupSpec {
  std::string_view name;
  std::vector<EventSourceRow> events;
  std::vector<ProgramVersion> versions;  ///< best first; ProgramVersion::name is the tier
  bool essential;                        ///< the sensor cannot do without it: loaded whole, whatever is asked for
};

const std::vector<GroupSpec>& program_groups();

/// The stem of a program's name: what stands before "__".
std::string_view stem_of(std::string_view program);

/// Whether the program makes the event.
bool makes(std::string_view program, const EventSourceRow& row);

/// The version without the programs of events that nobody asked for.
ProgramVersion only_wanted(const ProgramVersion& version, const GroupSpec& spec, const std::set<Kind>& wanted);

/// Without this program its event is there, but does not show everything (NAME32: calls of 32-bit programs; NAME_more).
bool only_adds(std::string_view program);

/// The version with the second and third copy of each program that can be preempted (bpf/turn.bpf.h), and, where none
/// can, with the second copy of those that interrupts come between: then what the first is skipped for is none of the
/// second's misses (state_changes(), bpf/tcp.bpf.h).
ProgramVersion with_stand_ins(const ProgramVersion& version, bool preemptible);
/// Whether with_stand_ins() made the program of another.
bool is_stand_in(std::string_view program);

/// The event that a program makes, or the program's stem when it only adds to one ("exec_script").
std::string_view event_of_program(std::string_view program);

/// Every tier's name, best first.
const std::vector<std::string_view>& tier_names();

/// The BPF object inside this executable; its programs read kernel memory by plain loads where the kernel has them.
Result<ProgramBlueprint> probes_blueprint(const PlainLoads& plain_loads = {});

/// The last rung: programs for kernels from 4.14 on. They write into perf buffers only, so it is for all groups or for
/// none.
inline constexpr std::string_view legacy_tier = "legacy";

/// What every tier but `legacy` needs.
inline constexpr Feature modern_features[] = {Feature::global_data,   Feature::large_programs,
                                              Feature::bounded_loops, Feature::probe_read_kernel,
                                              Feature::mapped_arrays, Feature::boot_clock};

/// Why a tier has no program for an event at all.
std::string_view absence(Kind kind, std::string_view tier);

/// What is less of processes that run already where they are read from /proc.
inline constexpr std::string_view snapshot_from_proc =
    "this kernel has no task iterator: read from /proc, so that process.start, and with it process.entity_id, of every "
    "process are told to a clock tick; a process that is ending is left out";

/// What a tier cannot tell about an event although its hook is there; empty: nothing is missing.
std::string_view degradation(Kind kind, std::string_view tier);

}  // namespace nightjar
