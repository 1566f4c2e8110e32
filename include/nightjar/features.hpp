// SPDX-License-Identifier: Apache-2.0
// What the running kernel can do, asked of the kernel, never derived from its version.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "nightjar/api.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// Things that kernels differ in. The names (to_string) are what --without takes and what doctor prints.
enum class Feature : std::uint8_t {
  bpf,                      ///< bpf(2) at all
  btf,                      ///< /sys/kernel/btf/vmlinux (4.18, CONFIG_DEBUG_INFO_BTF)
  ring_buffer,              ///< BPF_MAP_TYPE_RINGBUF (5.8)
  perf_buffer,              ///< BPF_MAP_TYPE_PERF_EVENT_ARRAY (4.4)
  raw_tracepoint,           ///< BPF_PROG_TYPE_RAW_TRACEPOINT (4.17)
  tp_btf,                   ///< BTF-typed raw tracepoints (5.5)
  fentry,                   ///< fentry/fexit trampolines (5.5); some kernels have tp_btf and refuse these
  kprobe,                   ///< kprobes (CONFIG_KPROBES, CONFIG_BPF_KPROBE_OVERRIDE not needed)
  tracepoint,               ///< perf tracepoints (4.7); needs tracefs, mounted or mountable privately
  task_iterator,            ///< bpf_iter/task (5.8)
  task_storage,             ///< BPF_MAP_TYPE_TASK_STORAGE (5.11)
  lsm,                      ///< BPF LSM programs can be loaded (5.7, CONFIG_BPF_LSM)
  preemptible_tracepoints,  ///< a task can be preempted in a tracepoint's program, and the kernel then skips the
                            ///< program for others (7.0): a thing to work around
  global_data,              ///< .rodata, .data and .bss (5.2)
  large_programs,           ///< programs of more than 4,096 instructions (5.2)
  bounded_loops,            ///< jumps backwards (5.3)
  probe_read_kernel,        ///< bpf_probe_read_kernel and its kin (5.5)
  mapped_arrays,            ///< arrays that user space maps, BPF_F_MMAPABLE (5.5)
  boot_clock,               ///< bpf_ktime_get_boot_ns (5.8)
  plain_loads,              ///< bpf_rdonly_cast (6.2): kernel memory is read without calling a helper
  on_demand_maps,           ///< hash tables may make an element when a tracing program wants it (6.1)
};

inline constexpr std::size_t feature_count = static_cast<std::size_t>(Feature::on_demand_maps) + 1;

NIGHTJAR_API std::string_view to_string(Feature feature);

/// The feature of that name or of a usual other spelling ("ringbuf", "rawtp", "globaldata"), or not_found with the
/// nearest name in its text.
NIGHTJAR_API Result<Feature> feature_from_string(std::string_view name);

/// A probe's answer. Only yes and no are remembered; unknown is asked again.
enum class Answer : std::uint8_t { yes, no, unknown };

/// Ids in the kernel's BTF, for programs that read kernel memory by bpf_rdonly_cast and a load.
struct PlainLoads {
  std::uint32_t function = 0;  ///< bpf_rdonly_cast; 0: there is none
  /// A struct that begins with a 64-bit number, of which 1, 2, 4 or 8 bytes can be loaded.
  std::uint32_t eight_bytes = 0;
};

struct FeatureAnswer {
  Answer answer = Answer::unknown;
  std::string why;           ///< for no and unknown: what the kernel said; "told to pretend" for a feature in `without`
  PlainLoads plain_loads{};  ///< for yes to that feature
};

/// Probes on demand, once a feature, and can be told to pretend that a feature is absent, so that every fallback can be
/// tried on one kernel. Not thread-safe.
class NIGHTJAR_API Features {
 public:
  Features() = default;
  explicit Features(std::set<Feature> without) : without_(std::move(without)) {}

  /// Asks the kernel (or remembers). Loads or attaches the smallest thing that can fail, and removes it again.
  const FeatureAnswer& ask(Feature feature);
  [[nodiscard]] bool has(Feature feature) { return ask(feature).answer == Answer::yes; }
  [[nodiscard]] bool pretends_without(Feature feature) const { return without_.contains(feature); }

 private:
  std::set<Feature> without_;
  std::map<Feature, FeatureAnswer> known_;
};

}  // namespace nightjar
