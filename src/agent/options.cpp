// SPDX-License-Identifier: Apache-2.0
#include "agent/options.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <sstream>

#include <CLI/CLI.hpp>

#include "agent/programs.hpp"
#include "loader/text.hpp"

namespace nightjar {
namespace {

std::vector<std::string> split_list(const std::string& list) {
  std::vector<std::string> parts;
  std::string part;
  std::istringstream in(list);
  while (std::getline(in, part, ',')) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::string event_names() {
  std::string names = "all, process";
  for (const EventInfo& event : all_events()) {
    if (event.family != "sensor") names += ", " + std::string(event.action);
  }
  return names;
}

Result<Scope> parse_scope(const std::string& text) {
  Scope scope;
  scope.text = text;
  if (text == "all") return scope;
  if (text.starts_with("tree:")) {
    scope.what = Scope::What::tree;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + 5, end, scope.pid);
    if (parsed.ec == std::errc() && parsed.ptr == end && scope.pid != 0) return scope;
  } else if (text.starts_with("cgroup:") && text.size() > 7) {
    scope.what = Scope::What::cgroup;
    scope.path = text.substr(7);
    return scope;
  }
  return Error(errc::invalid, "--scope " + text + ": expected all, tree:PID or cgroup:PATH");
}

/// The options as typed, before they mean anything.
struct Typed {
  std::string events = "all";
  std::string format = "ecs";
  std::string transport = "auto";
  std::string scope;
  std::string environment;
  std::vector<std::string> without;
  std::vector<std::string> outputs;
};

void add_sensor_options(CLI::App& command, SensorOptions& sensor, Typed& typed, bool with_scope) {
  command.add_option("--events", typed.events, "Events or families, comma-separated: " + event_names())
      ->type_name("LIST");
  command.add_option("--format", typed.format, "ecs or ocsf")->type_name("NAME");
  command.add_option("--output", typed.outputs, "- (standard output) or file:PATH; repeatable")->type_name("URI");
  command.add_option("--transport", typed.transport, "auto, ringbuf or perf")->type_name("NAME");
  command.add_option("--program-tier", sensor.tier, "auto, btf, kprobe or tracepoint")->type_name("NAME");
  command.add_option("--without", typed.without, "Act as if this kernel lacked FEATURE (see doctor); repeatable")
      ->type_name("FEATURE");
  command.add_option("--btf", sensor.btf_path, "Kernel types from this file")->type_name("PATH");
  command.add_option("--env", typed.environment, "Environment variables to report, comma-separated; '' for none")
      ->type_name("NAME,...");
  command.add_option("--buffer", sensor.buffer_bytes, "Bytes of each event buffer")->type_name("BYTES");
  command.add_option("--duration", sensor.duration_s, "Stop after so many seconds")->type_name("SECONDS");
  command.add_option("--count", sensor.count, "Stop after so many events")->type_name("N");
  command.add_option("--stats-interval", sensor.stats_interval_s, "Seconds between sensor_stats events")
      ->type_name("SECONDS");
  command.add_flag("--stats", sensor.summary, "Print a summary to standard error at the end");
  command.add_flag("--verbose", sensor.verbose, "Say on standard error what was tried and passed over");
  if (with_scope)
    command.add_option("--scope", typed.scope, "all (default), tree:PID or cgroup:PATH")->type_name("SCOPE");
}

Result<> interpret(const Typed& typed, SensorOptions& sensor, bool environment_given) {
  NIGHTJAR_CHECK(select_events(typed.events, sensor));
  if (typed.format == "ocsf") {
    sensor.format = Format::ocsf;
  } else if (typed.format != "ecs") {
    return Error(errc::invalid, "--format " + typed.format + ": expected ecs or ocsf");
  }
  if (typed.transport == "ringbuf") {
    sensor.transport = Transport::ring_buffer;
  } else if (typed.transport == "perf") {
    sensor.transport = Transport::perf;
  } else if (typed.transport != "auto") {
    return Error(errc::invalid, "--transport " + typed.transport + ": expected auto, ringbuf or perf");
  }
  const auto& tiers = tier_names();
  if (sensor.tier != "auto" && std::find(tiers.begin(), tiers.end(), sensor.tier) == tiers.end())
    return Error(errc::invalid, "--program-tier " + sensor.tier + ": expected auto, btf, kprobe or tracepoint");
  for (const std::string& name : typed.without) {
    auto feature = feature_from_string(name);
    if (!feature) return std::move(feature).error().in("--without " + name);
    sensor.without.insert(*feature);
  }
  if (!typed.outputs.empty()) sensor.outputs = typed.outputs;
  if (environment_given) sensor.environment = split_list(typed.environment);
  if (!typed.scope.empty()) sensor.scope = NIGHTJAR_TRY(parse_scope(typed.scope));
  constexpr std::uint64_t smallest = 4096;
  constexpr std::uint64_t largest = 1ULL << 30;
  const std::uint64_t bytes = sensor.buffer_bytes;
  if (bytes != 0 && (bytes < smallest || bytes > largest || (bytes & (bytes - 1)) != 0))
    return Error(errc::invalid,
                 "--buffer " + std::to_string(bytes) + ": expected a power of two from 4096 to 1073741824");
  if (sensor.duration_s < 0)
    return Error(errc::invalid,
                 "--duration " + std::to_string(sensor.duration_s) + ": expected a positive number of seconds");
  if (sensor.stats_interval_s == 0) return Error(errc::invalid, "--stats-interval: expected at least one second");
  return {};
}

}  // namespace

Result<> select_events(const std::string& list, SensorOptions& options) {
  for (const std::string& name : split_list(list)) {
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
    return Error(errc::invalid, "--events: there is no event or family '" + name + "'" +
                                    text::did_you_mean(name, names) + "; this version has " + event_names());
  }
  if (options.wanted.empty())
    return Error(errc::invalid, "--events: the list is empty; this version has " + event_names());
  // The stream's own events are never filtered away.
  for (const EventInfo& event : all_events()) {
    if (event.family == "sensor") options.wanted.insert(event.kind);
  }
  return {};
}

ParsedOptions parse_options(int argc, char** argv) {
  Options options;
  Typed typed;
  CLI::App app{"Security telemetry from Linux with eBPF.", "nightjar"};
  app.require_subcommand(1);

  CLI::App* watch = app.add_subcommand("watch", "Run COMMAND, report what its process tree does, exit with its status");
  add_sensor_options(*watch, options.sensor, typed, false);
  watch->footer("COMMAND follows --:  nightjar watch [OPTIONS] -- COMMAND [ARG...]");
  CLI::App* run = app.add_subcommand("run", "Report what the machine, or a part of it, does, until SIGINT or SIGTERM");
  add_sensor_options(*run, options.sensor, typed, true);
  CLI::App* doctor = app.add_subcommand("doctor", "What this kernel can deliver: each event, the hook, or why not");
  doctor->add_flag("--json", options.json, "As JSON");
  doctor->add_option("--without", typed.without, "Act as if this kernel lacked FEATURE; repeatable")
      ->type_name("FEATURE");
  CLI::App* events = app.add_subcommand("events", "Every event and field");
  const auto listing = [&](const std::string& name, Listing value, const std::string& what) {
    events->add_flag_callback(name, [&options, value] { options.listing = value; }, what);
  };
  listing("--json", Listing::json, "As JSON");
  listing("--schema", Listing::schema, "JSON Schema of a line of ECS output");
  listing("--markdown", Listing::markdown, "As the reference of the documentation, docs/events.md");
  listing("--lock", Listing::lock, "Fields and types in brief, docs/schema.lock");
  app.add_subcommand("version", "The version");

  const auto usage_error = [](const std::string& what) {
    std::fprintf(stderr, "nightjar: %s (see nightjar --help)\n", what.c_str());
    return ParsedOptions{std::nullopt, exit_usage};
  };
  const auto is_command = [&](const CLI::App* command) { return argc > 1 && command->get_name() == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_command).empty())
    return usage_error("there is no command '" + std::string(argv[1]) +
                       "': expected watch, run, doctor, events or version");

  // What follows -- is COMMAND's and is never looked at.
  int own = argc;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--") continue;
    own = i;
    options.to_watch.assign(argv + i + 1, argv + argc);
    break;
  }
  try {
    app.parse(own, argv);
  } catch (const CLI::CallForHelp& help) {
    app.exit(help, std::cout, std::cerr);
    return {std::nullopt, exit_done};
  } catch (const CLI::ParseError& error) {
    std::string what = error.what();
    for (char& c : what) c = c == '\n' ? ' ' : c;
    return usage_error(what);
  }
  if (app.got_subcommand(watch)) {
    options.command = Command::watch;
    if (options.to_watch.empty())
      return usage_error("watch: COMMAND is missing: nightjar watch [OPTIONS] -- COMMAND [ARG...]");
    options.sensor.scope.what = Scope::What::tree;
    options.sensor.scope.text = "tree of the command";
  } else if (app.got_subcommand(run)) {
    options.command = Command::run;
  } else if (app.got_subcommand(doctor)) {
    options.command = Command::doctor;
  } else if (app.got_subcommand(events)) {
    options.command = Command::events;
  }
  if (options.command != Command::watch && own != argc) return usage_error("only watch takes a COMMAND after --");
  const bool environment_given = watch->count("--env") + run->count("--env") > 0;
  if (auto meaning = interpret(typed, options.sensor, environment_given); !meaning)
    return usage_error(meaning.error().what());
  return {std::move(options), exit_done};
}

}  // namespace nightjar
