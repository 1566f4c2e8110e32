// SPDX-License-Identifier: Apache-2.0
// What the collector says of itself: losses, statistics, coverage.
#include <cstdio>

#include "agent/collector.hpp"
#include "agent/programs.hpp"
#include "agent/usage.hpp"

namespace nightjar {
namespace {

void member(std::string& to, std::string_view name, std::uint64_t value) {
  if (to.back() != '{') to += ',';
  json::string(to, name);
  to += ':';
  json::number(to, value);
}

}  // namespace

Result<> Collector::tell_losses(bool at_the_end) {
  const std::vector<Loss> losses = losses_.look();
  if (!losses.empty()) sensor_->reader().next_epoch();
  for (const Loss& loss : losses) {
    std::string count, cpu, first, last;
    json::number(count, loss.count);
    json::number(cpu, loss.cpu);
    json::timestamp(first, host_.to_unix(loss.first_ns));
    json::timestamp(last, host_.to_unix(loss.last_ns));
    const std::string what = json::quoted(loss.what);
    const std::string reason = json::quoted(loss.reason);
    Facts facts;
    facts[Fact::lost_count] = count;
    facts[Fact::lost_class] = what;
    facts[Fact::lost_cpu] = cpu;
    facts[Fact::lost_reason] = reason;
    facts[Fact::lost_first] = first;
    facts[Fact::lost_last] = last;
    pipeline_.own_event(Kind::events_lost, facts, batch_.text);
  }
  tell_missed();
  tell_output_losses(at_the_end);
  NIGHTJAR_CHECK(flush());
  if (pins_) losses_.save(pins_->state()->told_cells());
  if (limits_) limits_->settle();
  return {};
}

void Collector::tell_output_losses(bool at_the_end) {
  for (const auto& [output, loss] : outputs_.take_losses(at_the_end)) {
    const std::string count = std::to_string(loss.count);
    const std::string what = json::quoted(loss.what);
    const std::string reason = json::quoted(loss.reason);
    const std::string where = json::quoted(output);
    std::string first, last;
    json::timestamp(first, loss.first_ns);
    json::timestamp(last, loss.last_ns);
    Facts facts;
    facts[Fact::lost_count] = count;
    facts[Fact::lost_class] = what;
    facts[Fact::lost_reason] = reason;
    facts[Fact::lost_output] = where;
    facts[Fact::lost_first] = first;
    facts[Fact::lost_last] = last;
    pipeline_.own_event(Kind::events_lost, facts, batch_.text);
  }
}

/// Runs that the kernel skipped because the program was already running on that CPU. An event is lost when the program
/// and its stand-ins were skipped for it: the least of their counts is the most that can be lost. The kernel says
/// neither when nor where, and counts events out of scope too.
void Collector::tell_missed() {
  std::map<std::string_view, std::uint64_t> missed;
  const bool is_preemptible = sensor_->is_preemptible();
  const auto lines = programs_.empty() ? sensor_->program_stats() : programs_;
  for (const Sensor::ProgramLine& line : lines) {
    // Where no task is preempted, a stand-in runs for whatever the first was skipped for.
    const bool makes_up = !is_preemptible && is_stand_in(line.name);
    const std::uint64_t misses = makes_up ? 0 : line.stats.recursion_misses;
    const auto [at, first] = missed.try_emplace(event_of_program(line.name), misses);
    if (!first) at->second = std::min(at->second, misses);
  }
  for (const auto& [event, misses] : missed) {
    std::uint64_t& told = missed_told_[std::string(event)];
    if (misses <= told) continue;
    tell_lost(event, misses - told, "missed");
    told = misses;
  }
}

void Collector::tell_lost(std::string_view what, std::uint64_t count, std::string_view reason) {
  const std::string number = std::to_string(count);
  const std::string event = json::quoted(what);
  const std::string why = json::quoted(reason);
  Facts facts;
  facts[Fact::lost_count] = number;
  facts[Fact::lost_class] = event;
  facts[Fact::lost_reason] = why;
  pipeline_.own_event(Kind::events_lost, facts, batch_.text);
}

std::map<std::string, std::uint64_t> Collector::suppressed() {
  std::map<std::string, std::uint64_t> all = sensor_->rules().drops();
  for (const auto& [rule, count] : pipeline_.suppressed()) all[rule] += count;
  if (ScalarRules* rules = sensor_->scalar_rules()) {
    rules->look();
    for (const auto& [rule, count] : rules->suppressed()) all[rule] += count;
  }
  return all;
}

void Collector::tell_suppressed() {
  for (const auto& [rule, so_far] : suppressed()) {
    std::uint64_t& told = suppressed_told_[rule];
    if (so_far == told) continue;
    tell_suppressed(rule, so_far - told);
    told = so_far;
  }
}

void Collector::tell_suppressed(const std::string& key, std::uint64_t count) {
  const std::string number = std::to_string(count);
  const std::string quoted = json::quoted(key);
  Facts facts;
  facts[Fact::suppressed_count] = number;
  facts[Fact::suppressed_key] = quoted;
  pipeline_.own_event(Kind::events_suppressed, facts, batch_.text);
}

void Collector::tell_limits(std::uint64_t now_ns, bool all) {
  constexpr std::uint64_t every_ns = 10'000'000'000;
  if (!limits_) return;
  limits_->look();
  if (!all && !limits_->is_urgent() && now_ns < next_limits_ns_) return;
  next_limits_ns_ = now_ns + every_ns;
  for (const auto& [key, count] : limits_->take()) tell_suppressed(key, count);
}

Result<> Collector::tell_flows(bool all) {
  if (!flows_) return {};
  NIGHTJAR_CHECK(flows_->sweep(boot_clock_ns(), all, [&](Bytes record) {
    // Not before the records that still wait for others: some are of the same process, and older.
    if (merges_ && !all) {
      merger_.add(record);
    } else {
      pipeline_.take(record, batch_.text);
    }
  }));
  return flush();
}

std::uint64_t Collector::happened(unsigned wire_kind) const {
  return losses_.happened(wire_kind) + before_.counted_here[wire_kind] + (flows_ ? flows_->told(wire_kind) : 0) +
         pipeline_.dns_over_tcp(wire_kind);
}

std::string Collector::stats_json() {
  std::string text = R"({"events":{)";
  for (const EventInfo& event : all_events()) {
    const auto kind = static_cast<unsigned>(event.kind);
    if (event.family == "sensor" ||
        (kind < WIRE_KIND_END && losses_.happened(kind) == 0 && pipeline_.sent(event.kind) == 0))
      continue;
    if (text.back() != '{') text += ',';
    json::string(text, event.action);
    text += ":{";
    member(text, "sent", pipeline_.sent(event.kind));
    if (event.kind != Kind::process_snapshot) {
      member(text, "happened", happened(kind));
      member(text, "lost", losses_.lost(kind));
      if (losses_.suppressed(kind) != 0) member(text, "suppressed_in_kernel", losses_.suppressed(kind));
    }
    text += '}';
  }
  text += '}';
  const Usage used = Usage::of_this_process();
  member(text, "malformed_records", pipeline_.malformed());
  member(text, "malformed_dns", pipeline_.malformed_dns());
  member(text, "cpu_ns", used.cpu_ns);
  member(text, "peak_rss_kb", used.peak_rss_bytes / 1024);
  member(text, "processes_known", pipeline_.processes().size());
  member(text, "processes_forgotten", pipeline_.processes().forgotten());
  text += ",\"suppressed\":{";
  for (const auto& [rule, count] : suppressed()) member(text, rule, count);
  if (limits_ && limits_->suppressed() != 0) member(text, "rate_limit", limits_->suppressed());
  text += '}';
  member(text, "configuration_reloads", reloads_);
  member(text, "configuration_reloads_refused", reloads_refused_);
  text += ",\"outputs\":[";
  for (const OutputStats& output : outputs_.stats()) {
    if (text.back() != '[') text += ',';
    text += "{\"uri\":" + json::quoted(output.uri);
    member(text, "delivered", output.delivered);
    member(text, "lost", output.lost);
    member(text, "waiting", output.waiting);
    member(text, "failures", output.failures);
    text += '}';
  }
  text += "],\"programs\":[";
  for (const auto& line : programs_.empty() ? sensor_->program_stats() : programs_) {
    if (text.back() != '[') text += ',';
    text += "{\"name\":" + json::quoted(line.name) + ",\"hook\":" + json::quoted(line.hook);
    member(text, "recursion_misses", line.stats.recursion_misses);
    if (line.stats.run_count != 0) {  // only while kernel.bpf_stats_enabled is on
      member(text, "run_count", line.stats.run_count);
      member(text, "run_time_ns", line.stats.run_time_ns);
    }
    text += '}';
  }
  return text + "]}";
}

void Collector::tell_stats(Kind kind) {
  const std::string stats = stats_json();
  const std::string version = json::quoted(NIGHTJAR_VERSION);
  Facts facts;
  facts[Fact::stats] = stats;
  facts[Fact::version] = version;
  pipeline_.own_event(kind, facts, batch_.text);
}

std::string Collector::coverage_json() const {
  std::string text = "{";
  for (const Coverage& row : sensor_->coverage()) {
    if (text.size() > 1) text += ',';
    text += json::quoted(event_info(row.kind).action) + ":{\"state\":" + json::quoted(row.state);
    if (!row.hook.empty()) text += ",\"hook\":" + json::quoted(row.hook);
    if (!row.tier.empty()) text += ",\"tier\":" + json::quoted(row.tier);
    if (!row.reason.empty()) text += ",\"reason\":" + json::quoted(row.reason);
    text += '}';
  }
  return text + "}";
}

std::string Collector::summary() const {
  const Usage used = Usage::of_this_process();
  const double seconds = static_cast<double>(boot_clock_ns() - started_ns_) / 1e9;
  std::string text;
  char line[256];
  const auto add = [&](auto... values) {
    std::snprintf(line, sizeof line, values...);  // NOLINT(cppcoreguidelines-pro-type-vararg)
    text += line;
  };
  add("%-18s %12s %12s %12s\n", "event", "happened", "sent", "lost");
  for (const EventInfo& event : all_events()) {
    const auto kind = static_cast<unsigned>(event.kind);
    if (kind >= WIRE_KIND_END || (pipeline_.sent(event.kind) == 0 && losses_.happened(kind) == 0)) continue;
    const bool counted = event.kind != Kind::process_snapshot;
    add("%-18s %12llu %12llu %12llu\n", std::string(event.action).c_str(),
        static_cast<unsigned long long>(counted ? happened(kind) : pipeline_.sent(event.kind)),
        static_cast<unsigned long long>(pipeline_.sent(event.kind)),
        static_cast<unsigned long long>(losses_.lost(kind)));
  }
  const double events = static_cast<double>(pipeline_.sent_in_all());
  add("tier %s, %s, %.1f s, %.0f events/s\n", sensor_->tier().c_str(),
      sensor_->uses_ring_buffer() ? "ring buffer" : "perf buffers", seconds, seconds > 0 ? events / seconds : 0);
  add("agent: CPU %.1f ms (%.1f us an event), peak RSS %.1f MB\n", static_cast<double>(used.cpu_ns) / 1e6,
      events > 0 ? static_cast<double>(used.cpu_ns) / 1e3 / events : 0,
      static_cast<double>(used.peak_rss_bytes) / 1048576);
  add("start to first attached program: %.0f ms, to all: %.0f ms\n",
      static_cast<double>(sensor_->first_attached_ns() - options_.process_start_ns) / 1e6,
      static_cast<double>(started_ns_ - options_.process_start_ns) / 1e6);
  return text;
}

}  // namespace nightjar
