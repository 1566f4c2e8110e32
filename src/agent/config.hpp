// SPDX-License-Identifier: Apache-2.0
// The configuration file: YAML, strict. nightjar.yaml(5) documents the keys.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/filter.hpp"
#include "agent/settings.hpp"

namespace nightjar {

struct Config {
  std::vector<GivenSetting> settings;
  Filter filter;
};

/// invalid, with "FILE:LINE:COLUMN:", for what is wrong in it; denied when others could have written it.
Result<Config> read_config(const std::string& path);
/// The same from text; `name` stands for the file in messages.
Result<Config> parse_config(const std::string& text, const std::string& name);

/// The keys of a rule, with what they mean: for messages and documents.
struct RuleKey {
  std::string_view name, doc;
};
std::span<const RuleKey> rule_keys();

/// Defaults, then the file (if any), then what the command line gave.
Result<SensorOptions> effective_options(const std::string& config_path, const std::vector<GivenSetting>& given);

/// What SIGHUP does: the options of the file as it is now. invalid, and nothing changes, when the file is wrong or
/// changes what only a restart can.
Result<SensorOptions> reloaded_options(const Options& options);

}  // namespace nightjar
