// SPDX-License-Identifier: Apache-2.0
// What can be set, once: the same table makes the command line's options and the configuration file's keys.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/options.hpp"

namespace nightjar {

struct Setting {
  enum class Form : std::uint8_t { text, list, flag } form;
  std::string_view key;       ///< in the configuration file
  std::string_view option;    ///< "--events"
  std::string_view value;     ///< what stands for the value in help: "LIST"
  std::string_view standard;  ///< the value when nothing is said, for the documents
  std::string_view doc;
  bool repeatable;  ///< --output A --output B; else a list is written A,B
  bool run_only;    ///< has no meaning for watch
  bool live;        ///< can change while the sensor runs (SIGHUP)
  /// `name` is how messages call the setting. Values of a flag: "true" or "false".
  Result<> (*apply)(SensorOptions& options, const std::vector<std::string>& values, const std::string& name);
  std::string_view alone = {};  ///< the value when the option stands without one; empty: it must have one
};

std::span<const Setting> all_settings();

/// Settings that need an event to exist ("exec") or a family: what --events accepts.
std::string event_names();

/// The parts of "a,b,c"; empty ones are left out.
std::vector<std::string> split_list(std::string_view list);

/// Acts as if the kernel lacked the features of the list "a,b". invalid or not_found, with the nearest name.
Result<> add_without(SensorOptions& options, std::string_view list, const std::string& name);

/// The events that `names` names. invalid, with the nearest name, for one that there is not.
Result<> select_events(const std::vector<std::string>& names, SensorOptions& options, const std::string& name);

}  // namespace nightjar
