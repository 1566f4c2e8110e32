// SPDX-License-Identifier: Apache-2.0
#include "nightjar/features.hpp"

#include <array>
#include <utility>
#include <vector>

#include "feature_probes.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

/// In the order of the enumeration.
constexpr std::array<std::string_view, feature_count> names{"bpf",
                                                            "btf",
                                                            "ring_buffer",
                                                            "perf_buffer",
                                                            "raw_tracepoint",
                                                            "tp_btf",
                                                            "fentry",
                                                            "kprobe",
                                                            "tracepoint",
                                                            "task_iterator",
                                                            "task_storage",
                                                            "lsm",
                                                            "preemptible_tracepoints",
                                                            "global_data",
                                                            "large_programs",
                                                            "bounded_loops",
                                                            "probe_read_kernel",
                                                            "mapped_arrays",
                                                            "boot_clock",
                                                            "plain_loads",
                                                            "on_demand_maps"};

/// As people and other tools call them.
constexpr std::pair<std::string_view, Feature> aliases[] = {
    {"ringbuf", Feature::ring_buffer},           {"perfbuf", Feature::perf_buffer},
    {"rawtp", Feature::raw_tracepoint},          {"raw_tp", Feature::raw_tracepoint},
    {"globaldata", Feature::global_data},        {"largeprograms", Feature::large_programs},
    {"boundedloops", Feature::bounded_loops},    {"loops", Feature::bounded_loops},
    {"read_kernel", Feature::probe_read_kernel}, {"mmapable_arrays", Feature::mapped_arrays},
};

}  // namespace

std::string_view to_string(Feature feature) {
  const auto index = static_cast<std::size_t>(feature);
  return index < names.size() ? names.at(index) : "unknown";
}

Result<Feature> feature_from_string(std::string_view name) {
  for (std::size_t index = 0; index < names.size(); ++index) {
    if (names.at(index) == name) return static_cast<Feature>(index);
  }
  for (const auto& [alias, feature] : aliases) {
    if (alias == name) return feature;
  }
  return Error(errc::not_found,
               "no feature " + text::quoted(name) + text::did_you_mean(name, std::vector(names.begin(), names.end())));
}

const FeatureAnswer& Features::ask(Feature feature) {
  FeatureAnswer& known = known_[feature];
  if (pretends_without(feature)) {
    known = {.answer = Answer::no, .why = "told to pretend"};
    return known;
  }
  if (known.answer != Answer::unknown) return known;
  for (auto& [probed, answer] : probe(feature)) {
    if (!pretends_without(probed)) known_.insert_or_assign(probed, std::move(answer));
  }
  return known;  // references into a std::map stay valid
}

}  // namespace nightjar
