// SPDX-License-Identifier: Apache-2.0
#include "agent/sensor.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include <malloc.h>

#include <linux/bpf.h>

#include "agent/cgroup_scope.hpp"
#include "agent/host.hpp"
#include "agent/memory_limit.hpp"
#include "agent/proved_programs.hpp"
#include "loader/tracefs.hpp"
#include "nightjar/privileges.hpp"

namespace nightjar {
namespace {

// Kernel memory: the lifecycle buffer holds some thousand execs, many milliseconds of the fastest storm.
constexpr std::uint32_t lifecycle_bytes = 4U << 20;
// With --pin: some 8,000 processes from fork to exit, what a storm makes while an agent is started again.
constexpr std::uint32_t pinned_lifecycle_bytes = 16U << 20;
constexpr std::uint32_t activity_bytes = 4U << 20;
// Perf buffers are one a CPU: this much in all, but for each CPU at least what some argvs of 128 KiB take, and at most
// what holds the largest that there is.
constexpr std::uint32_t perf_bytes_in_all = 16U << 20;
constexpr std::uint32_t perf_bytes_least = 512U << 10;
constexpr std::uint32_t perf_bytes_most = 4U << 20;
constexpr std::uint32_t scope_tree_entries = 65536;
// What rules know of processes and cgroups; the ones asked for least are forgotten, and asked for in user space.
constexpr std::uint32_t rule_processes = 16384;
constexpr std::uint32_t rule_cgroups = 4096;
constexpr std::uint32_t rule_entries_unused = 64;
constexpr std::uint32_t copies = 3;                   // COPIES, bpf/emit.bpf.h
constexpr std::uint32_t path_users = 3 * copies + 1;  // enum path_user, bpf/path.bpf.h

constexpr std::string_view shared_maps[] = {"lifecycle",
                                            "activity",
                                            "counters",
                                            "reader",
                                            "cgroups_seen",
                                            "scope_tree",
                                            "turns",
                                            "connections",
                                            "socket_calls",
                                            "flows",
                                            "udp_sockets",
                                            "path_rows",
                                            "scratch_rows",
                                            "scratch_taken",
                                            "syscall_enter",
                                            "syscall_enter_more",
                                            "syscall_exit",
                                            "syscall_exit_more",
                                            "path_rule_states",
                                            "path_rule_edges",
                                            "path_rule_verdicts",
                                            "path_rule_drops",
                                            "path_rule_sets",
                                            "path_rules_now",
                                            "flow_counts",
                                            "limits",
                                            "rule_sets",
                                            "rule_counts",
                                            "exec_times",
                                            "image_verdicts",
                                            "cgroup_verdicts",
                                            "settings",
                                            "cgroup_scratch",
                                            "legacy_scratch"};
// The pool of bpf/scratch.bpf.h: what several programs that preempt each other on each CPU need, 30 KiB a row.
constexpr std::uint32_t scratch_rows_per_cpu = 4;
constexpr std::uint32_t scratch_rows_least = 16;
constexpr std::uint32_t scratch_rows_most = 256;

/// Made with SCRATCH (bpf/emit.bpf.h): a row for each copy on each CPU.
bool is_scratch(std::string_view map) {
  return map.ends_with("_scratch");
}

/// Of each perf buffer.
std::uint64_t perf_bytes_per_cpu(const SensorOptions& options) {
  const std::uint32_t share =
      std::clamp(std::bit_floor(perf_bytes_in_all / possible_cpus()), perf_bytes_least, perf_bytes_most);
  return options.buffer_bytes != 0 ? options.buffer_bytes : share;
}

/// What outlives this agent must not hold back what the next one's rules keep: those are asked in user space alone.
bool asks_rules_in_kernel(const SensorOptions& options) {
  return options.filter && options.pin.empty();
}

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

template <class T>
void constant(GroupOptions& options, std::string name, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  options.constants.insert_or_assign(std::move(name), std::vector(bytes.begin(), bytes.end()));
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
  const ProgramBlueprint blueprint = NIGHTJAR_TRY(probes_blueprint());
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

Result<> Sensor::open_rules(const PathRules& rules, const LogSink& log) {
  rules_ = NIGHTJAR_TRY(KernelRules::open(shared_));
  tell_inexact(rules, log);
  return rules_.adopt(rules);
}

Result<> Sensor::check_named(const SensorOptions& options) const {
  for (const Coverage& row : coverage_) {
    if (row.state == "absent" && options.named.contains(row.kind))
      return Error(errc::unsupported,
                   "this kernel cannot deliver " + std::string(event_info(row.kind).action) + ": " + row.reason);
  }
  return {};
}

GroupOptions Sensor::group_options(std::string_view name, const ProgramBlueprint& blueprint,
                                   const SensorOptions& options, const LogSink& log) {
  GroupOptions group;
  group.name = name;
  group.features = &features_;
  group.btf_path = types_.path;
  group.log = log;
  group.log_libbpf_debug = false;  // no command shows them
  constant(group, "use_ring", std::uint32_t{ring_});
  constant(group, "stand_ins", std::uint32_t{is_preemptible()});
  constant(group, "sequence_base", sequence_base_);
  constant(group, "want_env", std::uint32_t{!options.environment.empty()});
  const std::uint64_t smallest =
      options.buffer_bytes != 0 ? options.buffer_bytes : std::min(lifecycle_bytes, activity_bytes);
  constant(group, "wakeup_bytes", smallest / 4);
  constant(group, "limit_interval_ns", options.rate_limit != 0 ? 1'000'000'000 / options.rate_limit : std::uint64_t{0});
  constant(group, "scope_mode", static_cast<std::uint32_t>(options.scope.what));
  constant(group, "scope_cgroup", scope_cgroup_);
  constant(group, "scope_cgroup_level", scope_level_);

  std::uint32_t file_wanted = 0;
  for (const Kind kind : options.wanted) {
    const auto number = static_cast<unsigned>(kind);
    if (number >= WIRE_FILE_CREATE && number <= WIRE_FILE_UTIMES) file_wanted |= 1U << (number - WIRE_FILE_CREATE);
  }
  constant(group, "file_wanted", file_wanted);

  const bool use_rules = asks_rules_in_kernel(options);
  constant(group, "use_rules", std::uint32_t{use_rules});
  group.maps["exec_times"].max_entries = use_rules ? rule_processes : rule_entries_unused;
  group.maps["image_verdicts"].max_entries = use_rules ? rule_processes : rule_entries_unused;
  group.maps["cgroup_verdicts"].max_entries = use_rules ? rule_cgroups : rule_entries_unused;

  const std::uint32_t cpus = possible_cpus();
  for (const auto& map : blueprint.maps()) {
    if (is_scratch(map.name)) group.maps[map.name].max_entries = cpus * copies;
  }
  group.maps["counters"].max_entries = cpus * WIRE_KIND_END;
  // Without rules, and without a file that could bring some, the programs do not ask.
  constant(group, "path_rules_possible", std::uint32_t{rule_room_.states > 1});
  group.maps["path_rule_states"].max_entries = rule_room_.states;
  group.maps["path_rule_edges"].max_entries = rule_room_.edges;
  group.maps["path_rule_verdicts"].max_entries = rule_room_.verdicts;
  group.maps["rule_counts"].max_entries = cpus * 2 * (WIRE_RULES + 1);
  group.maps["path_rule_drops"].max_entries = rule_room_.counts;
  const std::uint32_t pool = std::clamp(cpus * scratch_rows_per_cpu, scratch_rows_least, scratch_rows_most);
  group.maps["path_rows"].max_entries = cpus * path_users + pool;
  constant(group, "scratch_first_path_row", cpus * path_users);
  constant(group, "scratch_row_count", pool);
  group.maps["scratch_rows"].max_entries = pool;
  group.maps["scratch_taken"].max_entries = pool;
  group.maps["scope_tree"].max_entries = options.scope.what == Scope::What::tree ? scope_tree_entries : 1;
  legacy_settings_ = {.sequence_base = sequence_base_,
                      .boot_offset_ns = legacy_settings_.boot_offset_ns,
                      .scope_cgroup = scope_cgroup_,
                      .scope_mode = static_cast<std::uint32_t>(options.scope.what),
                      .scope_cgroup_level = scope_level_,
                      .want_env = std::uint32_t{!options.environment.empty()},
                      .file_wanted = file_wanted};
  group.before_maps = [this, log, perf = ring_ ? 0 : 2 * perf_bytes_per_cpu(options) * cpus](std::uint64_t bytes) {
    tell_little_memory(bytes + perf, log);
  };
  group.before_attach = [this](const LoadedGroup& loaded) -> Result<> {
    if (first_attached_ns_ == 0) first_attached_ns_ = boot_clock_ns();
    if (!legacy_) return {};
    legacy_settings_.boot_offset_ns = boot_offset_ns();
    const Map settings = NIGHTJAR_TRY(loaded.map("settings"));
    return settings.set(std::uint32_t{0}, legacy_settings_);
  };
  for (const std::string_view buffer : {"lifecycle", "activity"}) {
    MapSettings& map = group.maps[std::string(buffer)];
    if (ring_) {
      const auto lifecycle = options.pin.empty() ? lifecycle_bytes : pinned_lifecycle_bytes;
      const auto standard = buffer == "lifecycle" ? lifecycle : activity_bytes;
      map.max_entries = options.buffer_bytes != 0 ? static_cast<std::uint32_t>(options.buffer_bytes) : standard;
    } else {
      map.type = BPF_MAP_TYPE_PERF_EVENT_ARRAY;
      map.key_size = 4;
      map.value_size = 4;
      map.max_entries = 0;
    }
  }
  for (const Map& map : shared_) group.maps[map.name()].share = &map;
  return group;
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

void Sensor::keep_shared(const LoadedGroup& group) {
  for (const std::string_view name : shared_maps) {
    const bool known = std::any_of(shared_.begin(), shared_.end(), [&](const Map& map) { return map.name() == name; });
    if (known) continue;
    if (auto map = group.map(name)) shared_.push_back(std::move(*map));
  }
}

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

Result<> Sensor::open_maps(const SensorOptions& options, const LogSink& log) {
  for (const Map& map : shared_) {
    if (map.name() == "counters") counters_.emplace(NIGHTJAR_TRY(SharedArray::of(map)));
    if (map.name() == "scope_tree" && options.scope.what == Scope::What::tree)
      scope_tree_ = NIGHTJAR_TRY(map.duplicate());
    if (map.name() == "settings") settings_ = NIGHTJAR_TRY(map.duplicate());
    if (map.name() == "flows") flows_ = NIGHTJAR_TRY(map.duplicate());
    if (map.name() == "flow_counts") flow_counts_.emplace(NIGHTJAR_TRY(MappedArray::of(map)));
    if (map.name() == "limits") limits_.emplace(NIGHTJAR_TRY(MappedArray::of(map)));
    if (map.name() == "udp_sockets") udp_sockets_ = NIGHTJAR_TRY(map.duplicate());
    if (map.name() == "reader") reader_.emplace(NIGHTJAR_TRY(ReaderPage::map(map)));
    if (map.name() == "lifecycle" || map.name() == "activity") {
      EventSourceOptions source;
      source.hold = !options.pin.empty();
      source.log = log;
      source.bytes_per_cpu = perf_bytes_per_cpu(options);
      sources_.push_back(NIGHTJAR_TRY(EventSource::open(map, source)));
    }
  }
  if (!counters_ || !reader_ || sources_.empty())
    return Error(errc::invalid, "the BPF object lacks the maps counters, reader or lifecycle");
  return asks_rules_in_kernel(options) ? open_scalar_rules(options) : Result<>{};
}

Result<> Sensor::open_scalar_rules(const SensorOptions& options) {
  // No program that is loaded asks the rules (fork, exec and exit are always sent): user space does.
  const auto asks = [](const Map& map) { return map.name() == "rule_sets"; };
  if (std::none_of(shared_.begin(), shared_.end(), asks)) return {};
  const auto map = [&](std::string_view name) -> Result<Map> {
    for (const Map& one : shared_) {
      if (one.name() == name) return one.duplicate();
    }
    return Error(errc::invalid, "the BPF object lacks the map " + std::string(name));
  };
  const Map counts = NIGHTJAR_TRY(map("rule_counts"));
  ScalarRules::Maps maps{NIGHTJAR_TRY(map("rule_sets")), NIGHTJAR_TRY(MappedArray::of(counts)),
                         NIGHTJAR_TRY(map("image_verdicts")), NIGHTJAR_TRY(map("cgroup_verdicts"))};
  scalar_rules_ =
      std::make_unique<ScalarRules>(std::move(maps), [this](std::uint32_t rules) { reader_->use_rules(rules); });
  return scalar_rules_->install(options.filter);
}

std::string_view Sensor::hook(Kind kind) const {
  for (const auto& [known, hook] : hooks_) {
    if (known == kind) return hook;
  }
  return {};
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
