// SPDX-License-Identifier: Apache-2.0
// What the programs are given: constants, sizes of maps, buffers; and what of it the sensor opens.
#include <algorithm>
#include <bit>
#include <thread>

#include <linux/bpf.h>

#include "agent/host.hpp"
#include "agent/sensor.hpp"

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
constexpr unsigned load_threads_most = 4;          // of what one waits for while a sensor starts, half is verified
constexpr std::uint32_t copies = 3;                // COPIES, bpf/emit.bpf.h
constexpr std::uint32_t path_users = 2 * copies;   // enum path_user, bpf/path.bpf.h
constexpr std::uint32_t image_users = copies + 1;  // enum image_user, bpf/exec.bpf.h

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
                                            "image_rows",
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
// Sized for a storm, and nearly empty on most machines: 23 MB when all elements are made at once.
constexpr std::string_view mostly_empty[] = {"connections", "flows", "udp_sockets", "scope_tree"};
// What is under way, of which a CPU has only so much at once; the object's own size is for machines with many.
constexpr std::string_view by_cpus[] = {"file_syscalls", "credentials_before", "dns_streams"};
constexpr std::uint32_t under_way_per_cpu = 512;
constexpr std::uint32_t under_way_least = 1024;
constexpr std::uint32_t under_way_most = 4096;
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

template <class T>
void constant(GroupOptions& options, std::string name, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  options.constants.insert_or_assign(std::move(name), std::vector(bytes.begin(), bytes.end()));
}

}  // namespace

bool Sensor::asks_rules_in_kernel(const SensorOptions& options) {
  return options.filter && options.pin.empty();
}

GroupOptions Sensor::group_options(std::string_view name, const ProgramBlueprint& blueprint,
                                   const SensorOptions& options, const LogSink& log) {
  GroupOptions group;
  group.name = name;
  group.features = &features_;
  group.btf_path = types_.path;
  group.log = log;
  group.log_libbpf_debug = false;  // no command shows them
  group.load_threads = std::clamp(std::thread::hardware_concurrency(), 1U, load_threads_most);
  constant(group, "use_ring", std::uint32_t{ring_});
  constant(group, "stand_ins", std::uint32_t{is_preemptible()});
  constant(group, "plain_loads", std::uint32_t{features_.has(Feature::plain_loads)});
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
  group.maps["image_rows"].max_entries = cpus * image_users;
  constant(group, "scratch_first_path_row", cpus * path_users);
  constant(group, "scratch_row_count", pool);
  group.maps["scratch_rows"].max_entries = pool;
  group.maps["scratch_taken"].max_entries = pool;
  group.maps["scope_tree"].max_entries = options.scope.what == Scope::What::tree ? scope_tree_entries : 1;
  for (const std::string_view map : by_cpus)
    group.maps[std::string(map)].max_entries = std::clamp(cpus * under_way_per_cpu, under_way_least, under_way_most);
  for (const std::string_view map : mostly_empty) group.maps[std::string(map)].on_demand = true;
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

void Sensor::keep_shared(const LoadedGroup& group) {
  for (const std::string_view name : shared_maps) {
    const bool known = std::any_of(shared_.begin(), shared_.end(), [&](const Map& map) { return map.name() == name; });
    if (known) continue;
    if (auto map = group.map(name)) shared_.push_back(std::move(*map));
  }
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

Result<> Sensor::open_rules(const PathRules& rules, const LogSink& log) {
  rules_ = NIGHTJAR_TRY(KernelRules::open(shared_));
  tell_inexact(rules, log);
  return rules_.adopt(rules);
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
  // One after the other: of an aggregate that is half made when a member fails, GCC 12 leaves the first ones open.
  Map sets = NIGHTJAR_TRY(map("rule_sets"));
  MappedArray counted = NIGHTJAR_TRY(MappedArray::of(counts));
  Map images = NIGHTJAR_TRY(map("image_verdicts"));
  Map cgroups = NIGHTJAR_TRY(map("cgroup_verdicts"));
  scalar_rules_ = std::make_unique<ScalarRules>(
      ScalarRules::Maps{std::move(sets), std::move(counted), std::move(images), std::move(cgroups)},
      [this](std::uint32_t rules) { reader_->use_rules(rules); });
  return scalar_rules_->install(options.filter);
}

}  // namespace nightjar
