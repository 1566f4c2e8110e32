// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot.hpp"

#include <algorithm>
#include <span>

namespace nightjar {
namespace {

bool is_same_process(const std::string& process, std::uint64_t start_ns) {
  const auto stat = parse_proc_stat(read_small_file("/proc/" + process + "/stat"));
  return stat && stat->start_ticks == start_ns / ProcSnapshot::start_step_ns();
}

void tell(std::span<std::byte> record, std::string arguments, const std::string& environment, bool show,
          Pipeline& pipeline, std::string& out) {
  const auto count = std::count(arguments.begin(), arguments.end(), '\0');
  reinterpret_cast<process_exec*>(record.data())->args_count = static_cast<std::uint32_t>(count);
  pipeline.take_snapshot(record, arguments, environment, show, out);
}

bool is_snapshot(Bytes record) {
  return as_wire<wire_header>(record).kind == WIRE_PROCESS_SNAPSHOT && checked_record(record).has_value();
}

}  // namespace

Result<SelfTask> tell_self(const SnapshotSource& snapshot, Pipeline& pipeline) {
  SelfTask self;
  std::string nothing;
  NIGHTJAR_CHECK(snapshot(true, [&](std::span<std::byte> record) -> Result<bool> {
    if (!is_snapshot(record)) {
      pipeline.take_snapshot(record, {}, {}, false, nothing);
      return true;
    }
    if (as_wire<wire_header>(record).is_self == 0) return true;
    const auto& task = as_wire<process_exec>(record).task;
    self = {task.pid, pipeline.knows_exact_starts() ? task.start_ns : 0};
    pipeline.set_self(record);
    tell(record, read_small_file("/proc/self/cmdline"), {}, false, pipeline, nothing);
    return false;
  }));
  return self;
}

Result<> tell_processes(const SnapshotSource& snapshot, bool show, Pipeline& pipeline, std::string& out,
                        const std::function<Result<>()>& after_each, const std::set<ProcessKey>& but) {
  return snapshot(false, [&](std::span<std::byte> record) -> Result<bool> {
    if (!is_snapshot(record)) {
      pipeline.take_snapshot(record, {}, {}, false, out);
      return true;
    }
    if (as_wire<wire_header>(record).is_self != 0) return true;
    const auto& task = as_wire<process_exec>(record).task;
    if (but.contains(pipeline.key_of(task))) return true;
    const std::string process = std::to_string(task.pid);
    std::string arguments = read_small_file("/proc/" + process + "/cmdline");
    std::string environment = show ? read_small_file("/proc/" + process + "/environ") : std::string();
    // Asked last: what was read is of this process only if it is still the one that was told of.
    if (!is_same_process(process, task.start_ns)) {
      reinterpret_cast<wire_header*>(record.data())->incomplete |= WIRE_MISSING_ARGS | WIRE_MISSING_ENV;
      arguments.clear();
      environment.clear();
    }
    tell(record, std::move(arguments), environment, show, pipeline, out);
    NIGHTJAR_CHECK(after_each());
    return true;
  });
}

}  // namespace nightjar
