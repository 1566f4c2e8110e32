// SPDX-License-Identifier: Apache-2.0
#include "agent/sensor.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include <malloc.h>

#include "agent/cgroup_scope.hpp"
#include "agent/host.hpp"
#include "agent/memory_limit.hpp"
#include "agent/proved_programs.hpp"
#include "loader/tracefs.hpp"
#include "nightjar/privileges.hpp"

namespace nightjar {
namespace {

constexpr std::string_view snapshot_program = "process_snapshot__iter";

/// Gives the records that `bytes` begins with, and takes them off: they lie one behind the other, of any length. Each
/// is copied to where it may be read, and changed, as a struct. False: no more are wanted.
Result<bool> visit_records(std::vector<std::byte>& bytes, const SnapshotVisit& visit) {
  std::vector<std::uint64_t> aligned;
  Bytes rest = bytes;
  bool go_on = true;
  while (go_on && rest.size() >= sizeof(wire_header)) {
    wire_header header;
    std::memcpy(&header, rest.data(), sizeof header);
    if (header.size < sizeof header) return Error(errc::corrupt, "the task iterator's records");
    if (header.size > rest.size()) break;  // the rest comes with the next piece
    aligned.resize((header.size + 7) / 8);
    std::memcpy(aligned.data(), rest.data(), header.size);
    rest = rest.subspan(header.size);
    go_on = NIGHTJAR_TRY(visit(std::as_writable_bytes(std::span(aligned)).first(header.size)));
  }
  bytes.erase(bytes.begin(), bytes.end() - static_cast<std::ptrdiff_t>(rest.size()));
  return go_on;
}

}  // namespace

Result<ReaderPage> ReaderPage::map(const Map& reader) {
  return ReaderPage(NIGHTJAR_TRY(SharedArray::of(reader)));
}

// A copy's reader has perf buffers only, which wake it by themselves.
void ReaderPage::going_idle() {
  if (!page_.is_copy()) std::atomic_ref(page_.at<wire_reader>(0)->idle).store(1);
}
void ReaderPage::busy() {
  if (!page_.is_copy()) std::atomic_ref(page_.at<wire_reader>(0)->idle).store(0);
}
void ReaderPage::use_rules(std::uint32_t rules) {
  std::atomic_ref(page_.at<wire_reader>(0)->rules).store(rules);
}
void ReaderPage::next_epoch() {
  std::atomic_ref(page_.at<wire_reader>(0)->epoch).fetch_add(1);
  // When it cannot be written, the next losses are told with the time of the first one.
  (void)page_.write_back(0);
}

Result<std::unique_ptr<Sensor>> Sensor::start(const SensorOptions& options, LogSink log, Pins* pins) {
  NIGHTJAR_CHECK(check_privileges());
  std::unique_ptr<Sensor> sensor(new Sensor);
  if (pins != nullptr && pins->adoptable()) {
    sensor->adopted_ = true;
    NIGHTJAR_CHECK(sensor->adopt(options, *pins));
    if (log) log(LogLevel::warning, "took over what is pinned in " + pins->directory());
    return sensor;
  }
  if (pins != nullptr) NIGHTJAR_CHECK(pins->replace(log));
  NIGHTJAR_CHECK(sensor->load(options, log));
  if (pins != nullptr) NIGHTJAR_CHECK(sensor->pin(*pins));
  return sensor;
}

void Sensor::tell_little_memory(std::uint64_t kernel_bytes, const LogSink& log) {
  if (!log || told_little_memory_) return;
  const std::string told = too_little_memory(memory_limit(), memory_needed(kernel_bytes));
  if (told.empty()) return;
  told_little_memory_ = true;
  log(LogLevel::warning, told);
}

Result<> Sensor::load(const SensorOptions& options, const LogSink& log) {
  tell_little_memory(0, log);  // the kernel may end this before it knows more
  // What is large is loaded once and given back. malloc would begin to take it from the heap, where holes stay.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  features_ = Features(without_what_needs_btf(options.without));
  if (!features_.has(Feature::bpf))
    return Error(errc::unsupported, "this kernel has no bpf(2): " + features_.ask(Feature::bpf).why);
  NIGHTJAR_CHECK(choose_programs(options, log));
  if (legacy_ || options.transport == Transport::perf) {
    ring_ = false;
  } else if (!features_.has(Feature::ring_buffer)) {
    const std::string why = features_.ask(Feature::ring_buffer).why;
    if (options.transport == Transport::ring_buffer)
      return Error(errc::unsupported, "--transport ringbuf: this kernel has no ring buffer: " + why);
    if (log) log(LogLevel::info, "using perf buffers: no ring buffer: " + why);
    ring_ = false;
  }
  if (!options.pin.empty() && !ring_)
    return Error(errc::unsupported, "--pin needs the ring buffer: a perf buffer ends with the process that opened it");
  if (options.scope.what == Scope::What::cgroup) {
    const CgroupScope scope = NIGHTJAR_TRY(find_cgroup(options.scope.path));
    scope_cgroup_ = scope.id;
    scope_level_ = scope.level;
  }
  sequence_base_ = boot_clock_ns();
  const PathRules rules = asks_rules_in_kernel(options) ? compile_path_rules(*options.filter) : PathRules{};
  if (options.pin.empty()) rule_room_ = room_for(rules, options.reloads);
  NIGHTJAR_CHECK(load_programs(options, log));
  // Loading takes tens of megabytes that nothing needs again, and the buffers are mapped next.
  malloc_trim(0);
  NIGHTJAR_CHECK(open_maps(options, log));
  return options.pin.empty() ? open_rules(rules, log) : Result<>{};
}

Result<> Sensor::load_programs(const SensorOptions& options, const LogSink& log) {
  const ProgramBlueprint blueprint = NIGHTJAR_TRY(probes_blueprint(features_.ask(Feature::plain_loads).plain_loads));
  types_ = NIGHTJAR_TRY(KernelTypesSource::find(options, features_, blueprint));
  if (log) log(LogLevel::info, "kernel types: " + types_.told);
  auto loaded = load_groups(blueprint, options, log);
  if (loaded || !options.pin.empty() || legacy_ || options.tier != "auto" ||
      options.transport == Transport::ring_buffer || loaded.error().code() != errc::unsupported || !groups_.empty())
    return loaded;
  // A kernel may refuse what none of the features tells of.
  if (log) log(LogLevel::warning, "falling back to the legacy tier: " + to_string(loaded.error()));
  legacy_ = true;
  ring_ = false;
  shared_.clear();
  coverage_.clear();
  dispatch_ = {};
  return load_groups(blueprint, options, log) ? Result<>{} : std::move(loaded);
}

Result<> Sensor::choose_programs(const SensorOptions& options, const LogSink& log) {
  legacy_ = options.tier == legacy_tier;
  std::string lacks;
  for (const Feature feature : modern_features) {
    if (legacy_) break;
    const FeatureAnswer& answer = features_.ask(feature);
    if (answer.answer == Answer::no)
      lacks += (lacks.empty() ? "" : "; ") + std::string(to_string(feature)) + ": " + answer.why;
  }
  if (!lacks.empty() && options.tier != "auto")
    return Error(errc::unsupported, "--program-tier " + options.tier + " needs what this kernel lacks: " + lacks +
                                        (is_locked_down() ? " (it is locked down: lockdown=confidentiality)" : ""));
  if (!lacks.empty()) {
    legacy_ = true;
    if (log) log(LogLevel::info, "using the legacy tier: this kernel lacks " + lacks);
  }
  if (legacy_ && options.transport == Transport::ring_buffer)
    return Error(errc::unsupported, "--transport ringbuf: the legacy tier has perf buffers only");
  return {};
}

Result<> Sensor::load_groups(const ProgramBlueprint& blueprint, const SensorOptions& options, const LogSink& log) {
  if (load_together(blueprint, options, log)) return check_named(options);
  for (const GroupSpec& spec : program_groups()) {
    if (!is_wanted(spec, options)) {
      cover_absent(spec, "off", "not asked for");
      continue;
    }
    auto loaded = load_group(spec, blueprint, options, log);
    if (loaded) {
      NIGHTJAR_CHECK(check_named(options));
      continue;
    }
    const Error error = std::move(loaded).error();
    if (cannot_do_without(spec, error, options)) {
      std::string events;
      for (const EventSourceRow& row : spec.events) {
        if (!events.empty()) events += ", ";
        events += event_info(row.kind).action;
      }
      return Error(error.code(), "this kernel cannot deliver " + events, error.sys()).because({error});
    }
    if (log) log(LogLevel::warning, "no " + std::string(spec.name) + ": " + to_string(error));
    cover_absent(spec, "absent", error.causes().empty() ? error.what() : error.causes().front().what());
  }
  return {};
}

Result<std::vector<ProgramVersion>> Sensor::versions_of(const GroupSpec& spec, const SensorOptions& options) const {
  std::vector<ProgramVersion> versions;
  std::vector<Error> unproved;
  for (const ProgramVersion& version : spec.versions) {
    // A forced tier concerns the groups that have tiers; a group with one way only has no choice.
    const bool tiered = spec.versions.size() > 1;
    if (legacy_ != (version.name == legacy_tier)) continue;
    if (tiered && options.tier != "auto" && options.tier != version.name) continue;
    const ProgramVersion wanted = spec.essential ? version : only_wanted(version, spec, options.wanted);
    auto proved = proved_part(wanted, types_.left_out);
    if (proved) {
      versions.push_back(std::move(*proved));
    } else {
      unproved.push_back(std::move(proved).error());
    }
  }
  if (versions.empty() && !unproved.empty()) return std::move(unproved.front());
  if (versions.empty() && legacy_)
    return Error(errc::unsupported, std::string(absence(spec.events.front().kind, legacy_tier)));
  return versions;
}

ProgramVersion Sensor::as_loaded(const ProgramVersion& version, const ProgramBlueprint& blueprint) {
  if (legacy_) return version;
  return with_stand_ins(dispatch_.through(version, blueprint), is_preemptible());
}

Result<> Sensor::load_group(const GroupSpec& spec, const ProgramBlueprint& blueprint, const SensorOptions& options,
                            const LogSink& log) {
  std::vector<ProgramVersion> versions = NIGHTJAR_TRY(versions_of(spec, options));
  for (ProgramVersion& version : versions) version = as_loaded(version, blueprint);
  ProgramGroup group(group_options(spec.name, blueprint, options, log));
  auto loaded = group.load(blueprint, versions);
  if (!loaded) return std::move(loaded).error();
  for (const ProgramVersion& version : versions) {
    if (!legacy_ && version.name == loaded->version()) dispatch_.loaded(version, blueprint);
  }
  for (const Error& passed : loaded->passed_over()) {
    if (log) log(LogLevel::info, "passed over: " + to_string(passed));
  }
  cover(spec, *loaded, loaded->version(), options);
  keep(std::move(*loaded), spec.name);
  return {};
}

void Sensor::keep(LoadedGroup group, std::string_view name) {
  keep_shared(group);
  groups_.push_back(std::move(group));
  group_names_.emplace_back(name);
}

Result<> Sensor::keep_clock() {
  // Two clocks are never read at the same time: less than this is no change.
  constexpr std::uint64_t noise_ns = 1'000'000;
  if (!settings_) return {};
  const std::uint64_t now = boot_offset_ns();
  if (now - legacy_settings_.boot_offset_ns + noise_ns <= 2 * noise_ns) return {};
  legacy_settings_.boot_offset_ns = now;
  return settings_->set(std::uint32_t{0}, legacy_settings_);
}

const LoadedGroup* Sensor::snapshot_iterator() const {
  for (const LoadedGroup& group : groups_) {
    const LoadedProgram* iterator = group.program(snapshot_program);
    if (iterator != nullptr && !iterator->hook.empty()) return &group;
  }
  return nullptr;
}

Result<> Sensor::snapshot(const Scope& scope, bool only_self, const SnapshotVisit& visit) {
  if (const LoadedGroup* group = snapshot_iterator()) {
    std::vector<std::byte> bytes;
    return group->read_iterator(snapshot_program, [&](Bytes piece) {
      bytes.insert(bytes.end(), piece.begin(), piece.end());
      return visit_records(bytes, visit);
    });
  }
  if (!ProcSnapshot::why_not().empty()) return {};
  ProcSnapshot proc = NIGHTJAR_TRY(ProcSnapshot::of(scope, scope_tree()));
  return proc.read(only_self, visit);
}

std::vector<Sensor::ProgramLine> Sensor::program_stats() const {
  std::vector<ProgramLine> lines;
  for (const LoadedGroup& group : groups_) {
    for (const LoadedProgram& program : group.programs()) {
      if (auto stats = group.stats(program.name))
        lines.push_back({program.name, SyscallDispatch::told(program.hook), *stats});
    }
  }
  return lines;
}

}  // namespace nightjar
