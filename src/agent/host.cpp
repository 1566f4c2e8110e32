// SPDX-License-Identifier: Apache-2.0
#include "agent/host.hpp"

#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>

#include <sys/utsname.h>

namespace nightjar {
namespace {

std::int64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// The tightest of some readings: the boot clock read between two readings of the wall clock.
std::int64_t measure_offset() {
  std::int64_t best_width = INT64_MAX;
  std::int64_t offset = 0;
  for (int i = 0; i < 16; ++i) {
    const std::int64_t before = clock_ns(CLOCK_REALTIME);
    const std::int64_t boot = clock_ns(CLOCK_BOOTTIME);
    const std::int64_t after = clock_ns(CLOCK_REALTIME);
    if (after - before < best_width) {
      best_width = after - before;
      offset = before + (after - before) / 2 - boot;
    }
  }
  return offset;
}

std::string first_line(const std::string& path) {
  std::string text = read_small_file(path);
  text.resize(std::min(text.find('\n'), text.size()));
  return text;
}

}  // namespace

std::string read_small_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::uint64_t boot_clock_ns() {
  return static_cast<std::uint64_t>(clock_ns(CLOCK_BOOTTIME));
}

std::uint64_t boot_offset_ns() {
  const std::int64_t monotonic = clock_ns(CLOCK_MONOTONIC);
  return static_cast<std::uint64_t>(clock_ns(CLOCK_BOOTTIME) - monotonic);
}

Host Host::read() {
  Host host;
  utsname names{};
  uname(&names);
  host.hostname = static_cast<const char*>(names.nodename);
  host.kernel = static_cast<const char*>(names.release);
  host.architecture = static_cast<const char*>(names.machine);
  host.machine_id = first_line("/etc/machine-id");
  if (host.machine_id.empty()) host.machine_id = first_line("/var/lib/dbus/machine-id");
  host.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  for (const char c : host.boot_id) {
    if (c != '-' && host.boot_prefix.size() < 12) host.boot_prefix += c;
  }
  host.boot_to_unix_ns = measure_offset();
  return host;
}

std::vector<json::Named> Host::constants() const {
  std::vector<json::Named> all;
  const auto add = [&all](std::string_view name, const std::string& value) {
    if (!value.empty()) all.emplace_back(name, json::quoted(value));
  };
  // A machine without /etc/machine-id (a minimal guest) is told apart by its boot.
  add("host.id", machine_id.empty() ? boot_id : machine_id);
  add("host.hostname", hostname);
  add("host.boot.id", boot_id);
  add("host.os.kernel", kernel);
  add("host.architecture", architecture);
  return all;
}

}  // namespace nightjar
