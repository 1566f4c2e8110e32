// SPDX-License-Identifier: Apache-2.0
// All groups of programs loaded as one object.
#include <algorithm>

#include "agent/programs_file.hpp"
#include "agent/sensor.hpp"

namespace nightjar {
namespace {

/// A group that is asked for, and the version of it that is tried now.
struct Candidate {
  const GroupSpec* spec;
  std::vector<ProgramVersion> versions;
  std::size_t now = 0;
  std::vector<Error> refused;

  [[nodiscard]] bool is_over() const { return now >= versions.size(); }
  [[nodiscard]] const ProgramVersion& version() const { return versions[now]; }
  void refuse(Error error) {
    refused.push_back(std::move(error).in("version '" + version().name + "'"));
    ++now;
  }
  [[nodiscard]] bool has(std::string_view program) const {
    if (is_over()) return false;
    // A stand-in's name begins with its program's.
    return std::ranges::any_of(version().programs, [&](const Program& one) { return program.starts_with(one.name()); });
  }
};

/// What the features tell costs no load.
void pass_over_what_lacks(Candidate& candidate, Features& features) {
  while (!candidate.is_over()) {
    const auto& needs = candidate.version().needs;
    const auto lacking =
        std::ranges::find_if(needs, [&](Feature need) { return features.ask(need).answer == Answer::no; });
    if (lacking == needs.end()) return;
    candidate.refuse(
        Error(errc::unsupported, "needs " + std::string(to_string(*lacking)) + ": " + features.ask(*lacking).why));
  }
}

bool has_event_of(const GroupSpec& spec, const std::set<Kind>& kinds) {
  return std::ranges::any_of(spec.events, [&](const EventSourceRow& row) { return kinds.contains(row.kind); });
}

}  // namespace

bool Sensor::is_wanted(const GroupSpec& spec, const SensorOptions& options) {
  return spec.essential || has_event_of(spec, options.wanted);
}

bool Sensor::cannot_do_without(const GroupSpec& spec, const Error& error, const SensorOptions& options) {
  return spec.essential || has_event_of(spec, options.named) || error.code() == errc::denied ||
         error.code() == errc::invalid;
}

bool Sensor::load_together(const ProgramBlueprint& blueprint, const SensorOptions& options, const LogSink& log) {
  const auto one_by_one = [&](LogLevel level, const std::string& why) {
    dispatch_ = {};
    first_attached_ns_ = 0;
    if (log) log(level, "loading one group of programs after the other: " + why);
    return false;
  };
  std::vector<Candidate> candidates;
  for (const GroupSpec& spec : program_groups()) {
    if (!is_wanted(spec, options)) continue;
    Candidate& candidate = candidates.emplace_back(Candidate{.spec = &spec, .versions = {}, .refused = {}});
    if (auto versions = versions_of(spec, options)) {
      candidate.versions = std::move(*versions);
    } else {
      candidate.refused.push_back(std::move(versions).error());
    }
  }
  std::optional<LoadedGroup> loaded;
  while (!loaded) {  // each round loads, gives up, or has one version less to try
    dispatch_ = {};
    ProgramVersion all("together", {});
    for (Candidate& candidate : candidates) {
      pass_over_what_lacks(candidate, features_);
      if (candidate.is_over()) {
        const Error none(errc::unsupported, "no version is for this kernel");
        const Error& why = candidate.refused.empty() ? none : candidate.refused.front();
        if (cannot_do_without(*candidate.spec, why, options))
          return one_by_one(LogLevel::info, std::string(candidate.spec->name) + ": " + why.what());
        continue;
      }
      const ProgramVersion version = as_loaded(candidate.version(), blueprint);
      if (!legacy_) dispatch_.loaded(version, blueprint);
      all.programs.insert(all.programs.end(), version.programs.begin(), version.programs.end());
      all.constants.insert(version.constants.begin(), version.constants.end());
    }
    // Programs of one tracepoint run in the order in which they are attached. (Not std::ranges: clang 14, which may
    // build the fuzzers, cannot compile GCC 12's subrange.)
    std::stable_partition(all.programs.begin(), all.programs.end(),
                          [](const Program& one) { return one.name() == told_before_exit; });
    GroupOptions settings = group_options("programs", blueprint, options, log);
    std::string culprit;
    settings.on_refusal = [&culprit](std::string_view program) { culprit = program; };
    auto result = ProgramGroup(std::move(settings)).load(blueprint, {all});
    if (result) {
      loaded.emplace(std::move(*result));
      break;
    }
    const Error& error = result.error();
    const Error& cause = error.causes().empty() ? error : error.causes().front();
    const auto blamed =
        std::ranges::find_if(candidates, [&](const Candidate& one) { return !culprit.empty() && one.has(culprit); });
    // What is denied or invalid is said by whoever fails with it.
    if (error.code() == errc::denied || error.code() == errc::invalid)
      return one_by_one(LogLevel::info, to_string(error));
    if (blamed == candidates.end()) return one_by_one(LogLevel::warning, to_string(error));
    blamed->refuse(cause);
    first_attached_ns_ = 0;
  }
  for (const GroupSpec& spec : program_groups()) {
    const auto candidate = std::ranges::find(candidates, &spec, &Candidate::spec);
    if (candidate == candidates.end()) {
      cover_absent(spec, "off", "not asked for");
      continue;
    }
    for (const Error& passed : candidate->refused) {
      const bool is_lost = candidate->is_over();
      if (log)
        log(is_lost ? LogLevel::warning : LogLevel::info,
            (is_lost ? "no " : "passed over: ") + std::string(spec.name) + ": " + to_string(passed));
    }
    if (!candidate->is_over()) {
      cover(spec, *loaded, candidate->version().name, options);
    } else {
      cover_absent(spec, "absent",
                   candidate->refused.empty() ? "no version is for this kernel" : candidate->refused.front().what());
    }
  }
  // Pinned, it is found under the name of the group that every sensor has.
  keep(std::move(*loaded), program_groups().front().name);
  return true;
}

}  // namespace nightjar
