// SPDX-License-Identifier: Apache-2.0
// Perf events on functions, of the kernel (kprobes) and of files (uprobes).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"
#include "tracefs.hpp"

namespace nightjar {

/// Where a probe goes.
struct ProbePlace {
  bool in_file = false;      ///< a uprobe
  std::string target;        ///< the function of the kernel, or the file's path
  std::uint64_t offset = 0;  ///< from the function's begin; in the file
  bool at_return = false;
  std::optional<int> pid;  ///< uprobes: this process only

  /// For messages: "kprobe/FUNCTION", "uprobe/PATH:0x1f".
  [[nodiscard]] std::string text() const;
};

/// Whether the kernel makes such probes through perf_event_open (4.17). Fails with unsupported.
Result<> check_probe_pmu(bool in_file);

/// A perf event on the place, disabled, that vanishes with its descriptor. Fails with unsupported and ENOENT when there
/// is no such function.
Result<UniqueFd> open_probe(const ProbePlace& place);

/// A probe made through tracefs, for kernels without the above. It has a name that only this process uses, and is
/// removed by the destructor. What a process that died left behind goes when the next one makes such a probe.
class TracefsProbe {
 public:
  static Result<TracefsProbe> make(const ProbePlace& place, const Tracefs& tracefs);
  TracefsProbe(TracefsProbe&& other) noexcept;
  TracefsProbe& operator=(TracefsProbe&&) = delete;
  TracefsProbe(const TracefsProbe&) = delete;
  TracefsProbe& operator=(const TracefsProbe&) = delete;
  ~TracefsProbe();

  /// A perf event of it, to attach a program to.
  [[nodiscard]] Result<UniqueFd> open(const ProbePlace& place) const;
  /// "GROUP/NAME", as tracefs shows it.
  [[nodiscard]] const std::string& event() const { return event_; }

 private:
  TracefsProbe(Tracefs tracefs, std::string list, std::string event)
      : tracefs_(std::move(tracefs)), list_(std::move(list)), event_(std::move(event)) {}
  Tracefs tracefs_;
  std::string list_;   ///< the file of tracefs that has it
  std::string event_;  ///< empty: moved from
};

/// Removes probes of this library's whose process is gone. Other processes' are left alone, and so are those of other
/// pid namespaces, which cannot be judged from here. Returns how many went.
Result<std::size_t> sweep_probes(const Tracefs& tracefs);

}  // namespace nightjar
