// SPDX-License-Identifier: Apache-2.0
#include "agent/usage.hpp"

#include <charconv>
#include <string>

#include <sys/resource.h>

#include "agent/host.hpp"

namespace nightjar {
namespace {

/// The peak of this program's memory in KiB; 0 when /proc cannot be read. getrusage(2) has the most that the process
/// ever had, also before its exec: that may be the memory of whoever started it.
std::uint64_t peak_kib() {
  const std::string status = read_small_file("/proc/self/status");
  const std::string_view mark = "VmHWM:";
  const std::size_t at = status.find(mark);
  if (at == std::string::npos) return 0;
  const std::size_t digits = status.find_first_of("0123456789", at);
  std::uint64_t kib = 0;
  if (digits != std::string::npos) std::from_chars(status.data() + digits, status.data() + status.size(), kib);
  return kib;
}

}  // namespace

Usage Usage::of_this_process() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto ns = [](const timeval& t) {
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_usec) * 1000;
  };
  const std::uint64_t peak = peak_kib();
  return {.cpu_ns = ns(used.ru_utime) + ns(used.ru_stime),
          .peak_rss_bytes = (peak != 0 ? peak : static_cast<std::uint64_t>(used.ru_maxrss)) * 1024};
}

}  // namespace nightjar
