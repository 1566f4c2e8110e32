// SPDX-License-Identifier: Apache-2.0
#include "kernel_version.hpp"

#include <array>
#include <charconv>
#include <fstream>
#include <string>

#include <sys/utsname.h>

namespace nightjar {
namespace {

/// "6.1.76-1" and "6.1-rc2": numbers up to the first thing that is none.
std::uint32_t parse(std::string_view text) {
  std::array<std::uint32_t, 3> parts{};
  std::size_t count = 0;
  while (count < parts.size()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parts.at(count));
    if (error != std::errc()) break;
    ++count;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.starts_with('.')) break;
    text.remove_prefix(1);
  }
  constexpr std::uint32_t largest_patch = 255;  // as the kernel's KERNEL_VERSION()
  if (count < 2 || parts[0] > 255 || parts[1] > 255) return 0;
  return (parts[0] << 16U) + (parts[1] << 8U) + (parts[2] < largest_patch ? parts[2] : largest_patch);
}

}  // namespace

std::uint32_t kernel_version_from(std::string_view release, std::string_view version, std::string_view signature) {
  // "Ubuntu 4.15.0-55.60-generic 4.15.18"
  if (const auto last = signature.rfind(' '); last != std::string_view::npos) {
    if (const std::uint32_t number = parse(signature.substr(last + 1)); number != 0) return number;
  }
  // "#1 SMP Debian 4.19.98-1 (2020-01-26)"
  constexpr std::string_view debian = "Debian ";
  if (const auto at = version.find(debian); at != std::string_view::npos) {
    if (const std::uint32_t number = parse(version.substr(at + debian.size())); number != 0) return number;
  }
  return parse(release);
}

std::uint32_t running_kernel_version() {
  std::ifstream file("/proc/version_signature");
  std::string signature;
  std::getline(file, signature);
  utsname names{};
  if (::uname(&names) != 0) return 0;
  return kernel_version_from(names.release, names.version, signature);  // NOLINT: arrays of char
}

}  // namespace nightjar
