// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nightjar/blueprint.hpp"
#include "nightjar/features.hpp"
#include "nightjar/log.hpp"
#include "nightjar/map.hpp"
#include "nightjar/program.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// How a map differs from what the blueprint says, set before load.
struct MapSettings {
  std::optional<std::uint32_t> type;         ///< enum bpf_map_type
  std::optional<std::uint32_t> max_entries;  ///< entries, or bytes for a ring buffer
  std::optional<std::uint32_t> key_size, value_size;
  const Map* share = nullptr;  ///< use this open map instead of creating one; it must fit
};

/// Programs that belong together: all of them work, or (optional ones aside) none stays.
struct ProgramVersion {
  ProgramVersion(std::string version_name, std::vector<Program> its_programs)
      : name(std::move(version_name)), programs(std::move(its_programs)) {}

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

struct GroupOptions {
  std::string name = "group";  ///< appears in errors
  std::map<std::string, MapSettings, std::less<>> maps;
  /// Constants for every version; a version's own win.
  std::map<std::string, std::vector<std::byte>, std::less<>> constants;
  std::string btf_path;          ///< use this BTF in place of the kernel's own; empty: the kernel's
  Features* features = nullptr;  ///< for ProgramVersion::needs; null: the group probes by itself
  LogSink log;
};

/// One program of a loaded version.
struct LoadedProgram {
  std::string name;
  ProgramKind kind;
  std::string hook;            ///< e.g. "tp_btf/sched_process_exec", "kprobe/__x64_sys_clone"; empty when absent
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

/// A version that is loaded and attached. Destroying it detaches and closes everything. Move-only; not thread-safe.
class LoadedGroup {
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
  /// A map of the object: an own descriptor of it. not_found suggests the nearest name; unsupported when no loaded
  /// program uses it and it was therefore not created.
  [[nodiscard]] Result<Map> map(std::string_view name) const;
  /// Runs an attached iterator program once and returns all that it wrote (one read(2) loop to the end).
  [[nodiscard]] Result<std::vector<std::byte>> read_iterator(std::string_view program) const;

  struct State;
  explicit LoadedGroup(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

/// Tries versions in order and keeps the first that loads and attaches.
class ProgramGroup {
 public:
  explicit ProgramGroup(GroupOptions options = {}) : options_(std::move(options)) {}

  /// Opens the blueprint once a version (libbpf's load is all or nothing), with only that version's programs and the
  /// maps that they use. A version that fails leaves nothing attached and no descriptor open. When none works: one
  /// error whose causes are every version's errors, its code being `denied` if privileges are missing, `invalid` if a
  /// version names a program, map or constant that the blueprint lacks (nearest names are suggested), else
  /// `unsupported`.
  Result<LoadedGroup> load(const ProgramBlueprint& blueprint, std::span<const ProgramVersion> versions);

 private:
  GroupOptions options_;
};

}  // namespace nightjar
