// SPDX-License-Identifier: Apache-2.0
// The command line, as values.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "nightjar/features.hpp"
#include "wire/events.hpp"
#include "wire/plan.hpp"

namespace nightjar {

struct Filter;

enum class Transport : std::uint8_t { automatic, ring_buffer, perf };

struct Scope {
  enum class What : std::uint8_t { all, tree, cgroup } what = What::all;
  std::uint32_t pid = 0;     ///< of tree: its root
  std::string path;          ///< of cgroup: a directory of a cgroup2 file system
  std::string text = "all";  ///< as given
};

/// What `watch` and `run` share.
struct SensorOptions {
  std::set<Kind> wanted;
  std::set<Kind> named;  ///< asked for by their own names: absent ones are exit status 3
  Format format = Format::ecs;
  Transport transport = Transport::automatic;
  std::string tier = "auto";
  std::set<Feature> without;
  std::string btf_path;
  std::string atlas_path;          ///< empty: the pack inside of the executable
  std::uint64_t buffer_bytes = 0;  ///< of each buffer; 0: the defaults
  std::vector<std::string> environment{"LD_PRELOAD", "LD_LIBRARY_PATH", "SSH_CONNECTION"};
  Scope scope;
  std::vector<std::string> outputs{"-"};
  std::string metrics;                 ///< file:PATH, unix:PATH, loopback address and port; empty: none
  double duration_s = 0;               ///< 0: no limit
  std::uint64_t count = 0;             ///< 0: no limit
  unsigned stats_interval_s = 60;      ///< between sensor_stats events
  unsigned latency_ms = 18;            ///< how long an event may wait for others
  std::uint64_t rate_limit = 20000;    ///< events of a process and kind in a second; 0: no limit
  bool summary = false;                ///< --stats
  std::uint64_t process_start_ns = 0;  ///< boot clock when main began
  bool verbose = false;
  bool user_names = true;
  bool hash = false;     ///< SHA-256 of executables
  bool package = false;  ///< packages that own executables
  std::string pin;  ///< directory in a BPF file system where the kernel side outlives the agent; empty: it does not
  bool keep_pins = false;                ///< an agent that is told to stop leaves them, too
  std::shared_ptr<const Filter> filter;  ///< null: every event is kept
  bool reloads = false;                  ///< there is a configuration file, which may change
};

struct Setting;

/// A setting that someone gave, on the command line or in the configuration file.
struct GivenSetting {
  const Setting* setting;
  std::vector<std::string> values;
  std::string name;  ///< as messages call it
};

enum class Command : std::uint8_t { watch, run, doctor, events, config, import_audit, report, top, version };

/// How `events` lists.
enum class Listing : std::uint8_t { people, json, schema, markdown, lock };

struct Options {
  Command command = Command::version;
  SensorOptions sensor;
  bool json = false;  ///< doctor
  Listing listing = Listing::people;
  std::string config_path;               ///< --config; empty: none
  std::vector<GivenSetting> given;       ///< on the command line
  std::vector<GivenSetting> configured;  ///< in the configuration file
  std::string action;                    ///< of config: check or show
  std::vector<std::string> inputs;       ///< files that import-audit, report and top read
  std::string target;                    ///< file that import-audit and report write; empty or -: standard output
  std::vector<std::string> to_watch;     ///< COMMAND and its arguments
};

/// Exit statuses (the contract; see nightjar(1)).
inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_unsupported = 3;

/// Either options, or the exit status with which to end: everything was said already (help on stdout, one line of error
/// on stderr).
struct ParsedOptions {
  std::optional<Options> options;
  int status = exit_done;
};
ParsedOptions parse_options(int argc, char** argv);

}  // namespace nightjar
