// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <functional>
#include <span>

#include <unistd.h>

namespace nightjar {
namespace {

/// Field 22 of /proc/PID/stat, in clock ticks; ~0 when it cannot be read.
std::uint64_t start_ticks(const std::string& process) {
  const std::string stat = read_small_file("/proc/" + process + "/stat");
  std::size_t at = stat.rfind(')');  // the name before it may hold anything
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
  std::uint64_t ticks = ~0ULL;
  if (at != std::string::npos) std::from_chars(stat.data() + at + 1, stat.data() + stat.size(), ticks);
  return ticks;
}

bool is_same_process(const std::string& process, std::uint64_t start_ns) {
  const auto ticks_per_second = static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
  return start_ticks(process) == start_ns / (1'000'000'000 / ticks_per_second);
}

/// Records lie one behind the other, of any length: each is copied to where it may be read, and changed, as a struct.
void for_each_record(const std::vector<std::byte>& records, const std::function<void(std::span<std::byte>)>& visit) {
  std::vector<std::uint64_t> aligned;
  Bytes rest = records;
  while (rest.size() >= sizeof(wire_header)) {
    wire_header header;
    std::memcpy(&header, rest.data(), sizeof header);
    if (header.size < sizeof header || header.size > rest.size()) break;
    aligned.resize((header.size + 7) / 8);
    std::memcpy(aligned.data(), rest.data(), header.size);
    rest = rest.subspan(header.size);
    visit(std::as_writable_bytes(std::span(aligned)).first(header.size));
  }
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

SelfTask tell_self(const std::vector<std::byte>& records, Pipeline& pipeline) {
  SelfTask self;
  std::string nothing;
  for_each_record(records, [&](std::span<std::byte> record) {
    if (!is_snapshot(record)) return pipeline.take_snapshot(record, {}, {}, false, nothing);
    if (as_wire<wire_header>(record).is_self == 0) return;
    const auto& task = as_wire<process_exec>(record).task;
    self = {task.pid, task.start_ns};
    pipeline.set_self(record);
    tell(record, read_small_file("/proc/self/cmdline"), {}, false, pipeline, nothing);
  });
  return self;
}

Result<> tell_processes(const std::vector<std::byte>& records, bool show, Pipeline& pipeline, std::string& out,
                        const std::function<Result<>()>& after_each, const std::set<ProcessKey>& but) {
  Result<> told;
  for_each_record(records, [&](std::span<std::byte> record) {
    if (!told || !is_snapshot(record) || as_wire<wire_header>(record).is_self != 0) return;
    const auto& task = as_wire<process_exec>(record).task;
    if (but.contains(key_of(task))) return;
    const std::string process = std::to_string(task.pid);
    std::string arguments = read_small_file("/proc/" + process + "/cmdline");
    std::string environment = show ? read_small_file("/proc/" + process + "/environ") : std::string();
    // Asked last: what was read is of this process only if it is still the one that the kernel told of.
    if (!is_same_process(process, task.start_ns)) {
      reinterpret_cast<wire_header*>(record.data())->incomplete |= WIRE_MISSING_ARGS | WIRE_MISSING_ENV;
      arguments.clear();
      environment.clear();
    }
    tell(record, std::move(arguments), environment, show, pipeline, out);
    told = after_each();
  });
  return told;
}

}  // namespace nightjar
