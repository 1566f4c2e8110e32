// SPDX-License-Identifier: Apache-2.0
#include "probe_event.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>
#include <vector>

#include <unistd.h>

#include <linux/perf_event.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kernel_refusal.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

constexpr std::string_view kprobe_list = "kprobe_events";
constexpr std::string_view uprobe_list = "uprobe_events";
constexpr std::string_view name_begin = "nightjar";

const char* pmu_name(bool in_file) {
  return in_file ? "uprobe" : "kprobe";
}

std::string pmu_file(bool in_file, std::string_view rest) {
  return std::string("/sys/bus/event_source/devices/") + pmu_name(in_file) + std::string(rest);
}

/// The PMU's format file says which bit of attr.config asks for a return probe: "config:0".
Result<std::uint64_t> return_bit(bool in_file) {
  std::ifstream file(pmu_file(in_file, "/format/retprobe"));
  std::string text;
  file >> text;
  constexpr std::string_view prefix = "config:";
  unsigned bit = 0;
  if (text.starts_with(prefix) &&
      std::from_chars(text.data() + prefix.size(), text.data() + text.size(), bit).ec == std::errc() && bit < 64) {
    return std::uint64_t{1} << bit;
  }
  return Error(errc::unsupported, std::string("the ") + pmu_name(in_file) + " PMU has no return probes");
}

Result<std::uint32_t> pmu_type(bool in_file) {
  std::ifstream file(pmu_file(in_file, "/type"));
  std::uint32_t type = 0;
  if (file >> type) return type;
  return Error(errc::unsupported, std::string("this kernel has no ") + pmu_name(in_file) + " PMU (4.17, CONFIG_" +
                                      (in_file ? "UPROBE" : "KPROBE") + "_EVENTS)");
}

/// When process `pid` began, in clock ticks since boot; 0 when there is none. Tells a process from a later one of the
/// same number.
std::uint64_t start_of(unsigned pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string stat{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(stat.substr(name_end + 1));
  constexpr int start_field = 20;  // of those after the name
  std::string field;
  for (int index = 0; index < start_field; ++index) fields >> field;
  std::uint64_t start = 0;
  std::from_chars(field.data(), field.data() + field.size(), start);
  return start;
}

std::uint64_t pid_namespace() {
  struct stat status{};
  return ::stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

/// "nightjar_NAMESPACE_PID_START": whose the probe is, so that another process can tell whether it is still there.
std::string own_group() {
  const auto pid = static_cast<unsigned>(::getpid());
  std::string group(name_begin);
  for (const std::uint64_t part : {pid_namespace(), std::uint64_t{pid}, start_of(pid)}) {
    group += '_';
    group += std::to_string(part);
  }
  return group;
}

/// Whether "nightjar_NAMESPACE_PID_START" is of our pid namespace and its process is gone.
bool is_orphan(std::string_view group) {
  if (!group.starts_with(name_begin)) return false;
  group.remove_prefix(name_begin.size());
  std::array<std::uint64_t, 3> parts{};
  for (std::uint64_t& part : parts) {
    if (!group.starts_with('_')) return false;
    group.remove_prefix(1);
    const auto [end, error] = std::from_chars(group.data(), group.data() + group.size(), part);
    if (error != std::errc()) return false;
    group.remove_prefix(static_cast<std::size_t>(end - group.data()));
  }
  return group.empty() && parts[0] == pid_namespace() && start_of(static_cast<unsigned>(parts[1])) != parts[2];
}

/// "GROUP/NAME" of a line of kprobe_events or uprobe_events: "p:GROUP/NAME ...", "r16:GROUP/NAME ...".
std::string_view event_of(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  line.remove_prefix(colon + 1);
  return line.substr(0, line.find(' '));
}

std::string hexadecimal(std::uint64_t number) {
  std::ostringstream out;
  out << "0x" << std::hex << number;
  return out.str();
}

}  // namespace

std::string ProbePlace::text() const {
  std::string kind = in_file ? (at_return ? "uretprobe/" : "uprobe/") : (at_return ? "kretprobe/" : "kprobe/");
  if (in_file) return kind + target + ":" + hexadecimal(offset);
  return kind + target + (offset == 0 ? "" : "+" + hexadecimal(offset));
}

Result<> check_probe_pmu(bool in_file) {
  NIGHTJAR_CHECK(pmu_type(in_file));
  return {};
}

Result<UniqueFd> open_probe(const ProbePlace& place) {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = NIGHTJAR_TRY(pmu_type(place.in_file));
  if (place.at_return) attributes.config = NIGHTJAR_TRY(return_bit(place.in_file));
  attributes.disabled = 1;
  attributes.config1 = reinterpret_cast<std::uintptr_t>(place.target.c_str());
  attributes.config2 = place.offset;
  // One event is enough, whichever CPU it is opened on: the program runs on all of them.
  UniqueFd event(static_cast<int>(::syscall(SYS_perf_event_open, &attributes, place.pid.value_or(-1),
                                            place.pid ? -1 : 0, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event.valid()) return kernel_refused(place.text(), errno);
  return event;
}

Result<TracefsProbe> TracefsProbe::make(const ProbePlace& place, const Tracefs& tracefs) {
  static std::atomic<unsigned> count = 0;
  NIGHTJAR_CHECK(sweep_probes(tracefs));
  const std::string list(place.in_file ? uprobe_list : kprobe_list);
  std::string event = own_group() + "/probe_" + std::to_string(++count);
  const std::string where = place.in_file || place.offset != 0
                                ? place.target + (place.in_file ? ":" : "+") + hexadecimal(place.offset)
                                : place.target;
  auto written = tracefs.append(list, (place.at_return ? "r:" : "p:") + event + " " + where + "\n");
  if (!written) {
    const int sys = written.error().sys();
    if (sys == ENOENT || sys == EINVAL)
      return Error(errc::unsupported, place.text() + " does not exist in this kernel", ENOENT);
    return std::move(written).error().in(place.text());
  }
  return TracefsProbe(NIGHTJAR_TRY(tracefs.duplicate()), list, std::move(event));
}

TracefsProbe::TracefsProbe(TracefsProbe&& other) noexcept
    : tracefs_(std::move(other.tracefs_)),
      list_(std::move(other.list_)),
      event_(std::exchange(other.event_, std::string())) {}

TracefsProbe::~TracefsProbe() {
  // Nobody is left to tell of a failure; the next process sweeps.
  if (!event_.empty()) (void)tracefs_.append(list_, "-:" + event_ + "\n");
}

Result<UniqueFd> TracefsProbe::open(const ProbePlace& place) const {
  return open_tracepoint(NIGHTJAR_TRY(tracefs_.event_id(event_)), place.pid);
}

Result<std::size_t> sweep_probes(const Tracefs& tracefs) {
  std::size_t swept = 0;
  for (const std::string_view list : {kprobe_list, uprobe_list}) {
    auto lines = tracefs.read(std::string(list));
    if (!lines) {
      if (lines.error().code() == errc::not_found) continue;  // a kernel without this kind
      return std::move(lines).error();
    }
    std::istringstream in(*lines);
    for (std::string line; std::getline(in, line);) {
      const std::string event(event_of(line));
      if (!is_orphan(std::string_view(event).substr(0, event.find('/')))) continue;
      // Another process may sweep at the same time: then it is gone already.
      if (tracefs.append(std::string(list), "-:" + event + "\n")) ++swept;
    }
  }
  return swept;
}

}  // namespace nightjar
