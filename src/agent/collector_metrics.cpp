// SPDX-License-Identifier: Apache-2.0
// The collector's numbers for Prometheus, and its proof that it is not blind.
#include <unistd.h>

#include <sys/wait.h>

#include "agent/collector.hpp"
#include "agent/usage.hpp"

namespace nightjar {
std::string Collector::metrics_text() {
  using Type = MetricsText::Type;
  MetricsText text;
  const auto by_event = [&](std::string_view name, std::string_view help, auto value_of) {
    text.family(name, Type::counter, help);
    for (const EventInfo& event : all_events()) {
      const auto kind = static_cast<unsigned>(event.kind);
      if (kind >= WIRE_KIND_END || event.kind == Kind::process_snapshot) continue;
      text.sample(value_of(event.kind, kind), MetricsText::label("event", event.action));
    }
  };
  text.family("build", Type::info, "Version of the sensor.");
  text.sample(std::uint64_t{1}, MetricsText::label("version", NIGHTJAR_VERSION));
  text.family("coverage", Type::gauge, "1 for each event that the sensor knows, with its state.");
  for (const Coverage& row : sensor_->coverage())
    text.sample(std::uint64_t{1}, MetricsText::label("event", event_info(row.kind).action) + "," +
                                      MetricsText::label("state", row.state));
  by_event("events_happened", "Events in scope that the kernel side saw.",
           [&](Kind, unsigned kind) { return losses_.happened(kind); });
  by_event("events_sent", "Events that were encoded.", [&](Kind kind, unsigned) { return pipeline_.sent(kind); });
  by_event("events_lost", "Events that the kernel side could not send.",
           [&](Kind, unsigned kind) { return losses_.lost(kind); });
  text.family("events_suppressed", Type::counter, "Events that a rule or the rate limit held back.");
  for (const auto& [rule, count] : suppressed()) text.sample(count, MetricsText::label("rule", rule));
  if (limits_) text.sample(limits_->suppressed(), MetricsText::label("rule", "rate_limit"));
  text.family("program_recursion_misses", Type::counter, "Runs of a BPF program that the kernel skipped.");
  for (const auto& line : programs_.empty() ? sensor_->program_stats() : programs_)
    text.sample(line.stats.recursion_misses, MetricsText::label("program", line.name));

  const auto outputs = outputs_.stats();
  const auto by_output = [&](std::string_view name, Type type, std::string_view help, auto member) {
    text.family(name, type, help);
    for (const OutputStats& output : outputs)
      text.sample(static_cast<std::uint64_t>(output.*member), MetricsText::label("output", output.uri));
  };
  by_output("output_events", Type::counter, "Events that an output delivered.", &OutputStats::delivered);
  by_output("output_lost", Type::counter, "Events that an output lost.", &OutputStats::lost);
  by_output("output_failures", Type::counter, "Deliveries that failed and are tried again.", &OutputStats::failures);
  by_output("output_waiting", Type::gauge, "Events that wait for an output.", &OutputStats::waiting);
  by_output("output_queue_bytes", Type::gauge, "Memory that they take.", &OutputStats::queue_bytes);
  by_output("output_spool_bytes", Type::gauge, "Disk that they take.", &OutputStats::spool_bytes);
  by_output("output_failing", Type::gauge, "1 while an output does not work.", &OutputStats::failing);

  const Usage used = Usage::of_this_process();
  text.family("cpu_seconds", Type::counter, "CPU time of the agent, its BPF programs not included.");
  text.sample(static_cast<double>(used.cpu_ns) / 1e9);
  text.family("peak_resident_memory_bytes", Type::gauge, "Most memory that the agent took.");
  text.sample(used.peak_rss_bytes);
  text.family("processes_known", Type::gauge, "Processes in the agent's table.");
  text.sample(static_cast<std::uint64_t>(pipeline_.processes().size()));
  text.family("malformed_records", Type::counter, "Records that were none of this build's.");
  text.sample(pipeline_.malformed());
  text.family("self_check_failures", Type::counter, "Times that a process of the agent's own went unseen.");
  text.sample(self_check_failures_);
  if (pins_) {
    text.family("pins_missing", Type::gauge, "Files of --pin that somebody took away, as of the last look.");
    text.sample(pins_missing_);
  }
  return std::move(text).finish();
}

Result<> Collector::publish_metrics(std::uint64_t now_ns) {
  constexpr std::uint64_t every_ns = 5'000'000'000;
  if (!metrics_ || now_ns < next_metrics_ns_) return {};
  next_metrics_ns_ = now_ns + every_ns;
  auto published = metrics_->publish(metrics_text());
  if (!published && !std::exchange(metrics_failed_, true)) log_(LogLevel::warning, to_string(published.error()));
  if (published) metrics_failed_ = false;
  return {};
}

/// A process of our own comes and goes: its fork and its exit must have been counted by the programs. When they were
/// not, somebody detached them, or the kernel no longer runs them.
Result<> Collector::check_sight() {
  const auto sees = [&](Kind kind) {
    for (const Coverage& row : sensor_->coverage()) {
      if (row.kind == kind) return row.state == "active" || row.state == "degraded";
    }
    return false;
  };
  if (options_.scope.what != Scope::What::all || !sees(Kind::fork) || !sees(Kind::exit)) return {};
  losses_.look_at_totals();
  const std::uint64_t forks = losses_.happened(WIRE_PROCESS_FORK);
  const std::uint64_t exits = losses_.happened(WIRE_PROCESS_EXIT);
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  if (pid < 0) return {};  // no process can be made here now: nothing is known
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  losses_.look_at_totals();
  for (const auto& [kind, before] : {std::pair{Kind::fork, forks}, {Kind::exit, exits}}) {
    if (losses_.happened(static_cast<unsigned>(kind)) != before) continue;
    ++self_check_failures_;
    const std::string_view event = event_info(kind).action;
    log_(LogLevel::warning, "blind: a " + std::string(event) +
                                " of the agent's own went unseen: the programs are no longer attached; restart it");
    const std::string what = json::quoted(event);
    Facts facts;
    facts[Fact::lost_count] = "1";
    facts[Fact::lost_class] = what;
    facts[Fact::lost_reason] = "\"blind\"";
    pipeline_.own_event(Kind::events_lost, facts, batch_.text);
  }
  return flush();
}

}  // namespace nightjar
