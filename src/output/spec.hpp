// SPDX-License-Identifier: Apache-2.0
// The text of --output, taken apart.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "nightjar/result.hpp"

namespace nightjar {

/// SCHEME:TARGET?NAME=VALUE&NAME=VALUE. Values may use %XX. What an output does not know it refuses by name.
struct OutputSpec {
  std::string uri;     ///< as given, for messages (without secrets: those stand in files)
  std::string scheme;  ///< "-", "file", "unix", "syslog", "journald", "kafka", "http", "https", "otlp+http", ...
  std::string target;  ///< behind "SCHEME:"
  std::map<std::string, std::string, std::less<>> settings;

  static Result<OutputSpec> parse(const std::string& uri);

  /// Empty when it was not given.
  [[nodiscard]] std::string text(std::string_view name, std::string_view otherwise = {}) const;
  /// Bytes, with K, M or G (powers of 1024).
  [[nodiscard]] Result<std::uint64_t> bytes(std::string_view name, std::uint64_t otherwise) const;
  /// Seconds, or with s, m, h, d.
  [[nodiscard]] Result<std::uint64_t> seconds(std::string_view name, std::uint64_t otherwise) const;
  [[nodiscard]] Result<std::uint64_t> number(std::string_view name, std::uint64_t otherwise) const;
};

/// HOST:PORT or [V6]:PORT; the port may be left out when `port` is not empty.
struct HostPort {
  std::string host, port;
};
Result<HostPort> parse_host_port(std::string_view text, std::string_view port);

}  // namespace nightjar
