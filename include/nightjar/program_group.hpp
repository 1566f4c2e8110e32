// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nightjar/api.hpp"
#include "nightjar/blueprint.hpp"
#include "nightjar/event_poller.hpp"
#include "nightjar/event_source.hpp"
#include "nightjar/features.hpp"
#include "nightjar/log.hpp"
#include "nightjar/map.hpp"
#include "nightjar/program.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// How a map differs from what the blueprint says, set before load.
struct MapSettings {
  std::optional<std::uint32_t> type;         ///< enum bpf_map_type
  std::optional<std::uint32_t> max_entries;  ///< entries, or bytes for a ring buffer (rounded up as the kernel needs,
                                             ///< which LoadedGroup::remarks() tells)
  std::optional<std::uint32_t> key_size, value_size;
  /// Of a hash table: an element takes memory when it is made (BPF_F_NO_PREALLOC), where Feature::on_demand_maps says
  /// that programs of every kind may do so; elsewhere all are made with the map.
  bool on_demand = false;
  const Map* share = nullptr;  ///< use this open map instead of creating one; it must fit
};

/// Programs that belong together: all of them work, or (optional ones aside) none stays.
struct ProgramVersion {
  ProgramVersion(std::string version_name, std::vector<Program> its_programs)
      : name(std::move(version_name)), programs(std::move(its_programs)) {}
  /// A version without a name is called by its number: "1" is the first.
  ProgramVersion(std::initializer_list<Program> its_programs) : programs(its_programs) {}

  std::string name;  ///< appears in errors and LoadedGroup::version()
  std::vector<Program> programs;
  /// Features without which it is not worth trying: a missing one is this version's error, at no cost.
  std::vector<Feature> needs;
  /// Values of `const volatile` globals (.rodata), by variable name; the size must match.
  std::map<std::string, std::vector<std::byte>, std::less<>> constants;

  template <class T>
  ProgramVersion& set(std::string variable, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    auto bytes = std::as_bytes(std::span(&value, 1));
    constants.insert_or_assign(std::move(variable), std::vector(bytes.begin(), bytes.end()));
    return *this;
  }
  ProgramVersion& require(Feature feature) {
    needs.push_back(feature);
    return *this;
  }
};

class LoadedGroup;

/// How kprobes and uprobes are made.
enum class ProbeWay : std::uint8_t {
  automatic,   ///< through perf_event_open where the kernel can (4.17), else through tracefs
  perf_event,  ///< they vanish with the process, whatever happens to it
  tracefs,     ///< under names of this process; what a process that died left behind is swept
};

struct GroupOptions {
  std::string name = "group";  ///< appears in errors
  std::map<std::string, MapSettings, std::less<>> maps;
  /// Constants for every version; a version's own win.
  std::map<std::string, std::vector<std::byte>, std::less<>> constants;
  std::string btf_path;  ///< use this BTF in place of the kernel's own; empty: the kernel's
  /// The same from memory, read during load() only; wins over btf_path unless empty.
  std::span<const std::byte> btf_bytes;
  Features* features = nullptr;  ///< for ProgramVersion::needs; null: the group probes by itself
  LogSink log;
  /// Whether `log` is given what libbpf says at its level debug: making the thousands of lines is a tenth of a load.
  bool log_libbpf_debug = true;

  /// Called for each version before its maps are created, with about what they take of the kernel's memory in bytes;
  /// shared maps aside. Buffers of perf events are opened later, and not in it.
  std::function<void(std::uint64_t)> before_maps;
  /// Called for each version with its maps created and its programs loaded, before any is attached: the time to fill
  /// filter maps and to open event sources, so that nothing is missed. An error fails the version.
  std::function<Result<>(const LoadedGroup&)> before_attach;
  /// Called for each version that is given up because of one program, with its name.
  std::function<void(std::string_view program)> on_refusal;
  /// For the event sources and the thread of load()'s `on_event`.
  EventSourceOptions events;
  PollerOptions poller;

  /// How many threads give programs to the kernel: it verifies each by itself, on the CPU of whoever loads it. With
  /// more than one the library starts the others, which end before load() returns, and sets libbpf's handlers of
  /// sections meanwhile: no other thread of the process may use libbpf then. What is refused is told as with one.
  unsigned load_threads = 1;

  ProbeWay probes = ProbeWay::automatic;
  /// Where to mount tracefs, made when absent, if a probe needs it, none is mounted, and this kernel cannot mount it
  /// privately (before 5.2). Empty: never. What was mounted stays.
  std::string mount_tracefs_at;
  /// RLIMIT_MEMLOCK during load(), bytes: kernels before 5.11 charge maps and programs to it. Set back when no version
  /// works. Unset: libbpf raises it where such a kernel needs it.
  std::optional<std::uint64_t> memlock_bytes;
  /// What the object's section "version" is for: kernels before 5.0 compare it for kprobes. Unset: the section's, or
  /// the running kernel's when it says "any" (0xFFFFFFFE) or is absent.
  std::optional<std::uint32_t> kernel_version;
};

/// One program of a loaded version.
struct LoadedProgram {
  std::string name;
  ProgramKind kind;
  /// E.g. "tp_btf/sched_process_exec", "kprobe/__x64_sys_clone"; "tail call/MAP" for one that is only called from
  /// others; empty when absent.
  std::string hook;
  std::string absent_because;  ///< optional and not there: why, one line
  int fd = -1;                 ///< borrowed, valid while the group lives
};

/// What the kernel counts for a program (BPF_OBJ_GET_INFO_BY_FD).
struct ProgramStats {
  std::uint32_t id = 0;
  std::uint32_t instructions = 0;           ///< translated
  std::uint32_t verified_instructions = 0;  ///< 5.16; 0 where unknown
  std::uint64_t run_count = 0;              ///< only with kernel.bpf_stats_enabled
  std::uint64_t run_time_ns = 0;            ///< only with kernel.bpf_stats_enabled
  std::uint64_t recursion_misses = 0;       ///< runs that the kernel skipped (5.12)
};

/// A version that is loaded and attached. Destroying it detaches and closes everything that is not pinned. Move-only;
/// not thread-safe.
class NIGHTJAR_API LoadedGroup {
 public:
  LoadedGroup(LoadedGroup&&) noexcept;
  LoadedGroup& operator=(LoadedGroup&&) noexcept;
  ~LoadedGroup();

  [[nodiscard]] const std::string& version() const;
  /// Why each version before this one was passed over.
  [[nodiscard]] const std::vector<Error>& passed_over() const;
  [[nodiscard]] const std::vector<LoadedProgram>& programs() const;
  /// Null when there is no program of that name in the version.
  [[nodiscard]] const LoadedProgram* program(std::string_view name) const;
  [[nodiscard]] Result<ProgramStats> stats(std::string_view program) const;
  /// Names of the maps that were created, sorted.
  [[nodiscard]] std::vector<std::string> map_names() const;
  /// A map of the object: an own descriptor of it. not_found suggests the nearest name; unsupported when no loaded
  /// program uses it and it was therefore not created.
  [[nodiscard]] Result<Map> map(std::string_view name) const;
  /// Runs an attached iterator program once and returns all that it wrote (one read(2) loop to the end).
  [[nodiscard]] Result<std::vector<std::byte>> read_iterator(std::string_view program) const;
  /// The same in pieces as they come, which cut what the program wrote anywhere; `take` answers false when it wants no
  /// more.
  [[nodiscard]] Result<> read_iterator(std::string_view program,
                                       const std::function<Result<bool>(std::span<const std::byte>)>& take) const;
  /// What was done otherwise than asked, a line each: sizes that were rounded, programs that are absent, probes that
  /// went through tracefs, memory limits that were raised.
  [[nodiscard]] const std::vector<std::string>& remarks() const;
  /// The thread of load()'s `on_event`; null when none was asked for.
  [[nodiscard]] EventPoller* poller() const;

  /// Detaches every program; pinned ones go on. Maps stay readable, and the poller goes on until it is stopped.
  void detach();

  /// Keeps maps and attached programs at work, whatever becomes of this process, in a directory of a BPF file system,
  /// made when it is absent. All or nothing. Fails with invalid (no BPF file system), busy (something is pinned there),
  /// or unsupported: perf events cannot be pinned before 5.15, nor can probes made through tracefs.
  [[nodiscard]] Result<> pin(const std::string& directory) const;
  /// What pin() left in `directory`, as a group: same programs, hooks and maps, without a gap and without a second
  /// load. Destroying it detaches nothing as long as the pins are there. Fails with not_found when nothing is pinned.
  static Result<LoadedGroup> adopt(const std::string& directory);
  /// Removes what pin() made; a process that holds the group keeps it working. No error when nothing is there.
  static Result<> unpin(const std::string& directory);

  struct State;
  explicit LoadedGroup(std::unique_ptr<State> state);

 private:
  friend class ProgramGroup;
  std::unique_ptr<State> state_;
};

/// Tries versions in order and keeps the first that loads and attaches. Holds nothing of what it loads: load() may be
/// called again. Not thread-safe.
class NIGHTJAR_API ProgramGroup {
 public:
  explicit ProgramGroup(GroupOptions options = {}) : options_(std::move(options)) {}

  /// Opens the blueprint once a version (libbpf's load is all or nothing), with only that version's programs and the
  /// maps that they use. A version that fails leaves nothing attached and no descriptor open. When none works: one
  /// error whose causes are every version's errors, its code being `denied` if privileges are missing, `invalid` if a
  /// version names a program, map or constant that the blueprint lacks (nearest names are suggested), else
  /// `unsupported`.
  ///
  /// With `on_event`, a thread reads every ring and perf buffer of the version, from before the first program is
  /// attached, and gives all events to it (GroupOptions::events and poller say how). It is the only thread that the
  /// library starts.
  ///
  /// A blueprint that could not be read is this function's error.
  Result<LoadedGroup> load(const Result<ProgramBlueprint>& blueprint, std::span<const ProgramVersion> versions,
                           const EventHandler& on_event = {});
  Result<LoadedGroup> load(const Result<ProgramBlueprint>& blueprint, std::initializer_list<ProgramVersion> versions,
                           const EventHandler& on_event = {}) {
    return load(blueprint, std::span(versions.begin(), versions.size()), on_event);
  }

 private:
  Result<LoadedGroup> load_version(const ProgramBlueprint& blueprint, const ProgramVersion& version, Features& features,
                                   const EventHandler& on_event);
  GroupOptions options_;
};

}  // namespace nightjar
