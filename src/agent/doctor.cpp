// SPDX-License-Identifier: Apache-2.0
// What this kernel can deliver, found out by trying: every version of every group is loaded and attached, in a scope
// that holds no process, and removed again.
#include <cstdio>
#include <iostream>

#include "agent/commands.hpp"
#include "agent/host.hpp"
#include "agent/sensor.hpp"
#include "nightjar/privileges.hpp"

namespace nightjar {
namespace {

constexpr Feature all_features[] = {
    Feature::bpf,
    Feature::btf,
    Feature::ring_buffer,
    Feature::perf_buffer,
    Feature::raw_tracepoint,
    Feature::tp_btf,
    Feature::fentry,
    Feature::kprobe,
    Feature::tracepoint,
    Feature::task_iterator,
    Feature::lsm,
    Feature::task_storage,
    Feature::preemptible_tracepoints,
    Feature::global_data,
    Feature::large_programs,
    Feature::bounded_loops,
    Feature::probe_read_kernel,
    Feature::mapped_arrays,
    Feature::boot_clock,
    Feature::plain_loads,
    Feature::on_demand_maps,
};

std::string_view answer_word(Answer answer) {
  switch (answer) {
    case Answer::yes:
      return "yes";
    case Answer::no:
      return "no";
    case Answer::unknown:
      break;
  }
  return "unknown";
}

struct TierTrial {
  std::string tier;
  std::string why_not;  ///< empty: it works
};

/// A sensor on nothing: the scope is an empty tree. It wants nothing but what is always loaded.
SensorOptions trial_options(const SensorOptions& given) {
  SensorOptions options = given;
  options.scope.what = Scope::What::tree;
  options.buffer_bytes = 4096;
  options.wanted.clear();
  options.named.clear();
  return options;
}

std::string reason_of(const Error& error) {
  const Error* deepest = &error;
  while (!deepest->causes().empty()) deepest = &deepest->causes().front();
  return deepest->what();
}

std::vector<TierTrial> try_tiers(const SensorOptions& given) {
  std::vector<TierTrial> trials;
  for (const std::string_view tier : tier_names()) {
    SensorOptions options = trial_options(given);
    options.tier = tier;
    auto sensor = Sensor::start(options, {});
    trials.push_back({std::string(tier), sensor ? "" : reason_of(sensor.error())});
  }
  return trials;
}

struct Report {
  Host host = Host::read();
  std::vector<std::pair<Feature, FeatureAnswer>> features;
  std::vector<TierTrial> tiers;
  std::vector<Coverage> coverage;
  std::string nothing_because;  ///< why there is no coverage
  std::string types;            ///< where the layouts of kernel structures come from
};

Report examine(const SensorOptions& given) {
  Report report;
  Features features(given.without);
  for (const Feature feature : all_features) report.features.emplace_back(feature, features.ask(feature));
  report.tiers = try_tiers(given);
  SensorOptions everything = trial_options(given);
  for (const EventInfo& event : all_events()) everything.wanted.insert(event.kind);
  auto sensor = Sensor::start(everything, {});
  if (sensor) {
    report.coverage = (*sensor)->coverage();
    report.types = (*sensor)->types_told();
  } else {
    report.nothing_because = reason_of(sensor.error());
  }
  return report;
}

void print_text(const Report& report) {
  std::printf("kernel %s %s\n\nevents\n", report.host.kernel.c_str(), report.host.architecture.c_str());
  for (const Coverage& row : report.coverage) {
    std::printf("  %-18s %-9s %s%s%s\n", std::string(event_info(row.kind).action).c_str(), row.state.c_str(),
                row.hook.c_str(),
                row.reason.empty() ? ""
                : row.hook.empty() ? ""
                                   : ": ",
                row.reason.c_str());
  }
  if (report.coverage.empty()) std::printf("  none: %s\n", report.nothing_because.c_str());
  if (!report.types.empty()) std::printf("\nkernel types\n  %s\n", report.types.c_str());
  std::printf("\nprogram tiers, best first\n");
  for (const TierTrial& trial : report.tiers) {
    std::printf("  %-18s %-9s %s\n", trial.tier.c_str(), trial.why_not.empty() ? "works" : "refused",
                trial.why_not.c_str());
  }
  std::printf("\nkernel features\n");
  for (const auto& [feature, answer] : report.features) {
    std::printf("  %-18s %-9s %s\n", std::string(to_string(feature)).c_str(),
                std::string(answer_word(answer.answer)).c_str(), answer.why.c_str());
  }
}

void print_json(const Report& report) {
  std::string out = "{\"version\":" + json::quoted(NIGHTJAR_VERSION) +
                    ",\"kernel\":" + json::quoted(report.host.kernel) +
                    ",\"architecture\":" + json::quoted(report.host.architecture) +
                    ",\"types\":" + json::quoted(report.types) + ",\"events\":[";
  const auto comma = [&out] {
    if (out.back() != '[') out += ',';
  };
  for (const Coverage& row : report.coverage) {
    comma();
    out += "{\"event\":" + json::quoted(event_info(row.kind).action) + ",\"state\":" + json::quoted(row.state) +
           ",\"hook\":" + json::quoted(row.hook) + ",\"tier\":" + json::quoted(row.tier) +
           ",\"reason\":" + json::quoted(row.reason) + "}";
  }
  out += "],\"tiers\":[";
  for (const TierTrial& trial : report.tiers) {
    comma();
    out += "{\"tier\":" + json::quoted(trial.tier) + ",\"works\":" + (trial.why_not.empty() ? "true" : "false") +
           ",\"reason\":" + json::quoted(trial.why_not) + "}";
  }
  out += "],\"features\":[";
  for (const auto& [feature, answer] : report.features) {
    comma();
    out += "{\"feature\":" + json::quoted(to_string(feature)) +
           ",\"answer\":" + json::quoted(answer_word(answer.answer)) + ",\"reason\":" + json::quoted(answer.why) + "}";
  }
  std::cout << out << "]}\n";
}

}  // namespace

int doctor(const Options& options) {
  if (auto allowed = check_privileges(); !allowed) return fail(allowed.error());
  const Report report = examine(options.sensor);
  if (options.json) {
    print_json(report);
  } else {
    print_text(report);
  }
  return report.coverage.empty() ? exit_unsupported : exit_done;
}

}  // namespace nightjar
