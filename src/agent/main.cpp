// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string_view>

#include "agent/atlas_command.hpp"
#include "agent/commands.hpp"
#include "agent/host.hpp"

int main(int argc, char** argv) {
  const std::uint64_t start_ns = nightjar::boot_clock_ns();
  if (argc > 1 && std::string_view(argv[1]) == "atlas") return nightjar::atlas_command(argc, argv);
  auto parsed = nightjar::parse_options(argc, argv);
  if (!parsed.options) return parsed.status;
  nightjar::Options& options = *parsed.options;
  options.sensor.process_start_ns = start_ns;
  switch (options.command) {
    case nightjar::Command::watch:
      return nightjar::watch(options);
    case nightjar::Command::run:
      return nightjar::run(options);
    case nightjar::Command::doctor:
      return nightjar::doctor(options);
    case nightjar::Command::events:
      return nightjar::list_events(options);
    case nightjar::Command::config:
      return nightjar::configuration(options);
    case nightjar::Command::import_audit:
      return nightjar::import_audit(options);
    case nightjar::Command::report:
      return nightjar::report(options);
    case nightjar::Command::top:
      return nightjar::top(options);
    case nightjar::Command::version:
      std::puts("nightjar " NIGHTJAR_VERSION);
      return nightjar::exit_done;
  }
  return nightjar::exit_failed;
}
