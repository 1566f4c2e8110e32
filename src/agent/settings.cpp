// SPDX-License-Identifier: Apache-2.0
#include "agent/settings.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "agent/metrics.hpp"
#include "agent/programs.hpp"
#include "loader/text.hpp"
#include "output/spec.hpp"

namespace nightjar {
namespace {

using Values = std::vector<std::string>;

Error wrong(const std::string& name, const std::string& value, const std::string& expected) {
  return Error(errc::invalid, name + " " + value + ": expected " + expected);
}

template <class Number>
Result<Number> number(const std::string& name, const std::string& value, const std::string& expected) {
  Number parsed{};
  const char* end = value.data() + value.size();
  const auto result = std::from_chars(value.data(), end, parsed);
  if (result.ec != std::errc() || result.ptr != end) return wrong(name, value, expected);
  return parsed;
}

template <class Value>
Result<Value> choice(const std::string& name, const std::string& value,
                     std::span<const std::pair<std::string_view, Value>> choices) {
  std::vector<std::string> names;
  for (const auto& [known, meaning] : choices) {
    if (known == value) return meaning;
    names.emplace_back(known);
  }
  return wrong(name, value, text::join(names, ", "));
}

Result<> set_events(SensorOptions& options, const Values& values, const std::string& name) {
  options.wanted.clear();
  options.named.clear();
  return select_events(values, options, name);
}

Result<> set_format(SensorOptions& options, const Values& values, const std::string& name) {
  static constexpr std::pair<std::string_view, Format> formats[] = {{"ecs", Format::ecs}, {"ocsf", Format::ocsf}};
  options.format = NIGHTJAR_TRY(choice<Format>(name, values.back(), formats));
  return {};
}

Result<> set_outputs(SensorOptions& options, const Values& values, const std::string& name) {
  if (values.empty()) return Error(errc::invalid, name + ": expected at least one output");
  for (const std::string& value : values) {
    if (auto spec = OutputSpec::parse(value); !spec) return std::move(spec).error().in(name);
  }
  options.outputs = values;
  return {};
}

Result<> set_metrics(SensorOptions& options, const Values& values, const std::string& name) {
  options.metrics = values.back();
  if (options.metrics.empty()) return {};
  if (auto checked = MetricsExporter::check(options.metrics); !checked) return std::move(checked).error().in(name);
  return {};
}

Result<> set_scope(SensorOptions& options, const Values& values, const std::string& name) {
  const std::string& text = values.back();
  Scope scope;
  scope.text = text;
  if (text.starts_with("tree:")) {
    scope.what = Scope::What::tree;
    auto pid = number<std::uint32_t>(name, text.substr(5), "");
    if (!pid || *pid == 0) return wrong(name, text, "all, tree:PID or cgroup:PATH");
    scope.pid = *pid;
  } else if (text.starts_with("cgroup:") && text.size() > 7) {
    scope.what = Scope::What::cgroup;
    scope.path = text.substr(7);
  } else if (text != "all") {
    return wrong(name, text, "all, tree:PID or cgroup:PATH");
  }
  options.scope = std::move(scope);
  return {};
}

Result<> set_transport(SensorOptions& options, const Values& values, const std::string& name) {
  static constexpr std::pair<std::string_view, Transport> transports[] = {
      {"auto", Transport::automatic}, {"ringbuf", Transport::ring_buffer}, {"perf", Transport::perf}};
  options.transport = NIGHTJAR_TRY(choice<Transport>(name, values.back(), transports));
  return {};
}

Result<> set_tier(SensorOptions& options, const Values& values, const std::string& name) {
  const auto& tiers = tier_names();
  if (values.back() != "auto" && std::find(tiers.begin(), tiers.end(), values.back()) == tiers.end())
    return wrong(name, values.back(), "auto, btf, kprobe, tracepoint or legacy");
  options.tier = values.back();
  return {};
}

}  // namespace

Result<> add_without(SensorOptions& options, std::string_view list, const std::string& name) {
  for (const std::string& one : split_list(list)) {
    auto feature = feature_from_string(one);
    if (!feature) return std::move(feature).error().in(name + " " + one);
    options.without.insert(*feature);
  }
  return {};
}

namespace {

Result<> set_without(SensorOptions& options, const Values& values, const std::string& name) {
  options.without.clear();
  for (const std::string& value : values) NIGHTJAR_CHECK(add_without(options, value, name));
  return {};
}

Result<> set_atlas(SensorOptions& options, const Values& values, const std::string& /*name*/) {
  options.atlas_path = values.back();
  return {};
}

Result<> set_btf(SensorOptions& options, const Values& values, const std::string& /*name*/) {
  options.btf_path = values.back();
  return {};
}

Result<> set_environment(SensorOptions& options, const Values& values, const std::string& /*name*/) {
  options.environment = values;
  return {};
}

Result<> set_buffer(SensorOptions& options, const Values& values, const std::string& name) {
  const std::string expected = "a power of two from 4096 to 1073741824";
  const auto bytes = NIGHTJAR_TRY(number<std::uint64_t>(name, values.back(), expected));
  constexpr std::uint64_t smallest = 4096;
  constexpr std::uint64_t largest = 1ULL << 30;
  if (bytes != 0 && (bytes < smallest || bytes > largest || (bytes & (bytes - 1)) != 0))
    return wrong(name, values.back(), expected);
  options.buffer_bytes = bytes;
  return {};
}

Result<> set_duration(SensorOptions& options, const Values& values, const std::string& name) {
  const std::string expected = "a positive number of seconds";
  options.duration_s = NIGHTJAR_TRY(number<double>(name, values.back(), expected));
  return options.duration_s >= 0 ? Result<>{} : wrong(name, values.back(), expected);
}

Result<> set_count(SensorOptions& options, const Values& values, const std::string& name) {
  options.count = NIGHTJAR_TRY(number<std::uint64_t>(name, values.back(), "a number of events"));
  return {};
}

Result<> set_stats_interval(SensorOptions& options, const Values& values, const std::string& name) {
  const std::string expected = "at least one second";
  options.stats_interval_s = NIGHTJAR_TRY(number<unsigned>(name, values.back(), expected));
  return options.stats_interval_s > 0 ? Result<>{} : wrong(name, values.back(), expected);
}

Result<> set_latency(SensorOptions& options, const Values& values, const std::string& name) {
  const std::string expected = "milliseconds from 2 to 1000";
  options.latency_ms = NIGHTJAR_TRY(number<unsigned>(name, values.back(), expected));
  return options.latency_ms >= 2 && options.latency_ms <= 1000 ? Result<>{} : wrong(name, values.back(), expected);
}

Result<> set_rate_limit(SensorOptions& options, const Values& values, const std::string& name) {
  constexpr std::uint64_t most = 1'000'000'000;
  const std::string expected = "a number of events from 0 to 1000000000";
  options.rate_limit = NIGHTJAR_TRY(number<std::uint64_t>(name, values.back(), expected));
  return options.rate_limit <= most ? Result<>{} : wrong(name, values.back(), expected);
}

Result<> set_pin(SensorOptions& options, const Values& values, const std::string& name) {
  options.pin = values.back();
  if (!options.pin.empty() && !options.pin.starts_with('/'))
    return wrong(name, options.pin, "a directory below a BPF file system, from the root (/sys/fs/bpf/nightjar)");
  return {};
}

template <bool SensorOptions::* member>
Result<> set_flag(SensorOptions& options, const Values& values, const std::string& /*name*/) {
  options.*member = values.back() == "true";
  return {};
}

using enum Setting::Form;
constexpr bool repeats = true;
constexpr bool once = false;
constexpr bool of_run = true;
constexpr bool of_both = false;
constexpr bool live = true;
constexpr bool fixed = false;

constexpr Setting settings[] = {
    {list, "events", "--events", "LIST", "all", "Events or families that are reported.", once, of_both, fixed,
     set_events},
    {text, "format", "--format", "NAME", "ecs", "ecs or ocsf.", once, of_both, fixed, set_format},
    {list, "outputs", "--output", "URI", "-",
     "Where events go, several at once: -, file:PATH, unix:PATH, syslog:, journald:, kafka://..., http(s)://..., "
     "otlp+http(s)://... (nightjar(1)).",
     repeats, of_both, fixed, set_outputs},
    {text, "metrics", "--metrics", "URI", "", "OpenMetrics to file:PATH, or at unix:PATH or 127.0.0.1:PORT.", once,
     of_both, fixed, set_metrics},
    {text, "scope", "--scope", "SCOPE", "all", "Whom the sensor looks at: all, tree:PID or cgroup:PATH.", once, of_run,
     fixed, set_scope},
    {list, "environment", "--env", "NAME,...", "LD_PRELOAD,LD_LIBRARY_PATH,SSH_CONNECTION",
     "Environment variables that exec reports; an empty list for none.", once, of_both, live, set_environment},
    {flag, "users", "--users", "", "true", "Names of users and groups beside their ids.", once, of_both, live,
     set_flag<&SensorOptions::user_names>},
    {flag, "hash", "--hash", "", "false", "SHA-256 of what exec runs; an exec waits for it, at most a second.", once,
     of_both, fixed, set_flag<&SensorOptions::hash>},
    {flag, "package", "--package", "", "false",
     "Package (Debian, rpm) that owns what exec runs; an exec waits for it, at most a second.", once, of_both, fixed,
     set_flag<&SensorOptions::package>},
    {text, "stats_interval", "--stats-interval", "SECONDS", "60", "Seconds between sensor_stats events.", once, of_both,
     live, set_stats_interval},
    {text, "latency", "--latency", "MS", "18",
     "Milliseconds that an event waits for others, from 2 to 1000: less is told sooner, more costs less CPU.", once,
     of_both, fixed, set_latency},
    {text, "rate_limit", "--rate-limit", "N", "20000",
     "Events of one kind that a process may cause in a second (network, namespace, memory, signal); what is above is "
     "counted; 0: no limit.",
     once, of_both, fixed, set_rate_limit},
    {text, "transport", "--transport", "NAME", "auto", "Channel from the kernel: auto, ringbuf or perf.", once, of_both,
     fixed, set_transport},
    {text, "program_tier", "--program-tier", "NAME", "auto", "Kind of hooks: auto, btf, kprobe, tracepoint or legacy.",
     once, of_both, fixed, set_tier},
    {list, "without", "--without", "FEATURE", "", "Act as if this kernel lacked FEATURE (see nightjar doctor).",
     repeats, of_both, fixed, set_without},
    {text, "btf", "--btf", "PATH", "", "Kernel types from this file.", once, of_both, fixed, set_btf},
    {text, "atlas", "--atlas", "PATH", "", "Kernel types from this atlas, where the kernel has no BTF.", once, of_both,
     fixed, set_atlas},
    {text, "buffer", "--buffer", "BYTES", "4194304", "Bytes of each event buffer, a power of two.", once, of_both,
     fixed, set_buffer},
    {text, "pin", "--pin", "DIR", "",
     "Programs and buffers outlive the agent in this directory of a BPF file system (/sys/fs/bpf/nightjar when none is "
     "named): after a kill the next agent takes over, without a gap.",
     once, of_run, fixed, set_pin, "/sys/fs/bpf/nightjar"},
    {flag, "keep_pins", "--keep-pins", "", "false", "Leave them also when the agent is told to stop (an upgrade).",
     once, of_run, fixed, set_flag<&SensorOptions::keep_pins>},
    {text, "duration", "--duration", "SECONDS", "0", "Stop after so many seconds; 0: never.", once, of_both, fixed,
     set_duration},
    {text, "count", "--count", "N", "0", "Stop after so many events; 0: never.", once, of_both, fixed, set_count},
    {flag, "summary", "--stats", "", "false", "Print a summary to standard error at the end.", once, of_both, fixed,
     set_flag<&SensorOptions::summary>},
    {flag, "verbose", "--verbose", "", "false", "Say on standard error what was tried and passed over.", once, of_both,
     fixed, set_flag<&SensorOptions::verbose>},
};

}  // namespace

std::span<const Setting> all_settings() {
  return settings;
}

std::vector<std::string> split_list(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const auto comma = list.find(',');
    if (const std::string_view part = list.substr(0, comma); !part.empty()) parts.emplace_back(part);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
  }
  return parts;
}

std::string event_names() {
  std::string names = "all";
  std::set<std::string_view> families{"sensor"};
  for (const EventInfo& event : all_events()) {
    if (families.insert(event.family).second) names += ", " + std::string(event.family);
  }
  for (const EventInfo& event : all_events()) {
    if (event.family != "sensor") names += ", " + std::string(event.action);
  }
  return names;
}

Result<> select_events(const std::vector<std::string>& list, SensorOptions& options, const std::string& what) {
  const std::string place = what.ends_with(':') ? what : what + ":";
  for (const std::string& name : list) {
    bool known = name == "all";
    for (const EventInfo& event : all_events()) {
      const bool named = event.action == name;
      if (!named && name != "all" && event.family != name) continue;
      known = true;
      if (!named && !event.by_default) continue;
      options.wanted.insert(event.kind);
      if (named) options.named.insert(event.kind);
    }
    if (known) continue;
    std::vector<std::string_view> names;
    for (const EventInfo& event : all_events()) names.insert(names.end(), {event.action, event.family});
    return Error(errc::invalid, place + " there is no event or family '" + name + "'" +
                                    text::did_you_mean(name, names) + "; this version has " + event_names());
  }
  if (options.wanted.empty())
    return Error(errc::invalid, place + " the list is empty; this version has " + event_names());
  // The stream's own events are never filtered away.
  for (const EventInfo& event : all_events()) {
    if (event.family == "sensor") options.wanted.insert(event.kind);
  }
  return {};
}

}  // namespace nightjar
