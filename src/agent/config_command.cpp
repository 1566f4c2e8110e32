// SPDX-License-Identifier: Apache-2.0
// nightjar config check, nightjar config show.
#include <cstdio>

#include "agent/commands.hpp"
#include "agent/config.hpp"

namespace nightjar {
namespace {

std::string yaml_list(const std::vector<std::string>& values) {
  std::string text = "[";
  for (const std::string& value : values) text += (text.size() > 1 ? ", " : "") + json::quoted(value);
  return text + "]";
}

std::string yaml_value(const Setting& setting, const std::vector<std::string>& values) {
  switch (setting.form) {
    case Setting::Form::list:
      return yaml_list(values);
    case Setting::Form::flag:
      return values.back();
    case Setting::Form::text:
      break;
  }
  return json::quoted(values.back());
}

std::string ranges_text(const std::vector<NumberRange>& ranges) {
  std::vector<std::string> values;
  for (const auto& [first, last] : ranges)
    values.push_back(first == last ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(last));
  return yaml_list(values);
}

void show_rule(const Rule& rule) {
  std::string text = "  - id: " + json::quoted(rule.id) + "\n    action: " + (rule.keep ? "keep" : "drop") + "\n";
  if (!rule.tags.empty()) text += "    tags: " + yaml_list(rule.tags) + "\n";
  std::vector<std::string> events;
  for (const Kind kind : rule.events) events.emplace_back(event_info(kind).action);
  if (!events.empty()) text += "    events: " + yaml_list(events) + "\n";
  for (std::size_t i = 0; i < subject_count; ++i) {
    const std::string name = "    " + std::string(name_of(static_cast<Subject>(i))) + ": ";
    if (!rule.patterns[i].empty()) text += name + yaml_list(rule.patterns[i]) + "\n";
    if (!rule.ranges[i].empty()) text += name + ranges_text(rule.ranges[i]) + "\n";
  }
  std::fputs(text.c_str(), stdout);
}

void show(const Config& config) {
  for (const Setting& setting : all_settings()) {
    std::string value;
    for (const GivenSetting& given : config.settings) {
      if (given.setting == &setting) value = yaml_value(setting, given.values);
    }
    std::printf("# %s\n", std::string(setting.doc).c_str());
    if (value.empty()) {
      const std::string standard(setting.standard);
      const auto standards = setting.form == Setting::Form::list ? split_list(standard) : std::vector{standard};
      std::printf("# %s: %s\n", std::string(setting.key).c_str(), yaml_value(setting, standards).c_str());
    } else {
      std::printf("%s: %s\n", std::string(setting.key).c_str(), value.c_str());
    }
  }
  std::printf("# What happens to an event that no rule matches: keep or drop.\ndefault: %s\n",
              config.filter.keep_others ? "keep" : "drop");
  std::puts(config.filter.rules.empty() ? "rules: []" : "rules:");
  for (const Rule& rule : config.filter.rules) show_rule(rule);
}

}  // namespace

int configuration(const Options& options) {
  if (options.config_path.empty() && options.action == "check") {
    std::fputs("nightjar: config check: which file? nightjar config check FILE\n", stderr);
    return exit_usage;
  }
  const auto config = options.config_path.empty() ? Result<Config>(Config{}) : read_config(options.config_path);
  if (!config) {
    std::fprintf(stderr, "nightjar: %s\n", to_string(config.error()).c_str());
    return exit_usage;
  }
  if (options.action == "show") {
    show(*config);
  } else {
    std::printf("%s: right: %zu settings, %zu rules\n", options.config_path.c_str(), config->settings.size(),
                config->filter.rules.size());
  }
  return std::fflush(stdout) == 0 ? exit_done : exit_failed;
}

}  // namespace nightjar
