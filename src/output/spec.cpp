// SPDX-License-Identifier: Apache-2.0
#include "output/spec.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <span>
#include <vector>

namespace nightjar {
namespace {

constexpr std::string_view common_settings[] = {"events", "rules",      "format", "queue",
                                                "spool",  "spool-size", "fsync",  "drain"};

struct Scheme {
  std::string_view name;
  bool needs_target;
  std::string_view usage;
  std::vector<std::string_view> settings;
};

const std::vector<Scheme>& schemes() {
  static const std::vector<Scheme> all{
      {"file", true, "file:PATH", {"rotate-size", "rotate-every", "keep", "compress", "mode"}},
      {"unix", true, "unix:PATH", {"mode", "client-buffer"}},
      {"syslog", false, "syslog:[/PATH | udp://HOST:PORT | tcp://HOST:PORT]", {"facility", "app-name", "max-size"}},
      {"journald", false, "journald:[/PATH]", {}},
      {"kafka", true, "kafka://HOST:PORT[,HOST:PORT]/TOPIC", {"settings-file", "key"}},
      {"http", true, "http://HOST[:PORT]/PATH", {"header-file", "index", "timeout", "ca-file"}},
      {"https", true, "https://HOST[:PORT]/PATH", {"header-file", "index", "timeout", "ca-file"}},
      {"otlp+http", true, "otlp+http://HOST[:PORT][/v1/logs]", {"header-file", "timeout", "ca-file"}},
      {"otlp+https", true, "otlp+https://HOST[:PORT][/v1/logs]", {"header-file", "timeout", "ca-file"}},
  };
  return all;
}

std::string usages() {
  std::string text = "- (standard output)";
  for (const Scheme& scheme : schemes()) text += ", " + std::string(scheme.usage);
  return text;
}

Result<std::string> unescape(std::string_view text, const std::string& uri) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || parsed.ptr != digits.data() + 2)
      return Error(errc::invalid,
                   "output " + uri + ": % must be followed by two hexadecimal digits (%25 for % itself)");
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

Result<> parse_settings(OutputSpec& spec, std::string_view text, const Scheme* scheme) {
  const auto known = [&](std::string_view name) {
    if (std::ranges::find(common_settings, name) != std::end(common_settings)) return true;
    if (scheme == nullptr) return false;
    // What has a dot in its name is librdkafka's own.
    if (scheme->name == "kafka" && name.find('.') != std::string_view::npos) return true;
    return std::ranges::find(scheme->settings, name) != scheme->settings.end();
  };
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto equals = pair.find('=');
    const std::string name(pair.substr(0, equals));
    if (equals == std::string_view::npos || name.empty())
      return Error(errc::invalid,
                   "output " + spec.uri + ": expected NAME=VALUE after ?, not '" + std::string(pair) + "'");
    if (!known(name)) {
      std::string names;
      for (const std::string_view one : common_settings) names += ", " + std::string(one);
      if (scheme != nullptr) {
        for (const std::string_view one : scheme->settings) names += ", " + std::string(one);
      }
      return Error(errc::invalid,
                   "output " + spec.uri + ": there is no setting '" + name + "'; there are " + names.substr(2));
    }
    spec.settings[name] = NIGHTJAR_TRY(unescape(pair.substr(equals + 1), spec.uri));
  }
  return {};
}

struct Unit {
  std::string_view suffix;
  std::uint64_t factor;
};

Result<std::uint64_t> scaled(const OutputSpec& spec, std::string_view name, std::uint64_t otherwise,
                             std::span<const Unit> units, std::string_view expected) {
  const std::string text = spec.text(name);
  if (text.empty()) return otherwise;
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [behind, error] = std::from_chars(text.data(), end, value);
  const std::string_view suffix(behind, static_cast<std::size_t>(end - behind));
  if (error == std::errc()) {
    for (const Unit& unit : units) {
      if (suffix == unit.suffix && value <= std::numeric_limits<std::int64_t>::max() / unit.factor)
        return value * unit.factor;
    }
  }
  return Error(errc::invalid,
               "output " + spec.uri + ": " + std::string(name) + "=" + text + ": expected " + std::string(expected));
}

}  // namespace

Result<OutputSpec> OutputSpec::parse(const std::string& uri) {
  OutputSpec spec;
  spec.uri = uri;
  const auto question = uri.find('?');
  const std::string_view address = std::string_view(uri).substr(0, question);
  const std::string_view settings =
      question == std::string::npos ? std::string_view() : std::string_view(uri).substr(question + 1);
  if (address == "-") {
    spec.scheme = "-";
    NIGHTJAR_CHECK(parse_settings(spec, settings, nullptr));
    return spec;
  }
  const auto colon = address.find(':');
  if (colon != std::string_view::npos) spec.scheme = address.substr(0, colon);
  for (const Scheme& scheme : schemes()) {
    if (scheme.name != spec.scheme) continue;
    spec.target = NIGHTJAR_TRY(unescape(address.substr(colon + 1), uri));
    if (scheme.needs_target && spec.target.empty())
      return Error(errc::invalid, "output " + uri + ": expected " + std::string(scheme.usage));
    NIGHTJAR_CHECK(parse_settings(spec, settings, &scheme));
    return spec;
  }
  return Error(errc::invalid, "unknown output '" + uri + "': this version writes to " + usages());
}

std::string OutputSpec::text(std::string_view name, std::string_view otherwise) const {
  const auto found = settings.find(name);
  return found == settings.end() ? std::string(otherwise) : found->second;
}

Result<std::uint64_t> OutputSpec::bytes(std::string_view name, std::uint64_t otherwise) const {
  static constexpr Unit units[] = {{"", 1}, {"K", 1ULL << 10}, {"M", 1ULL << 20}, {"G", 1ULL << 30}};
  return scaled(*this, name, otherwise, units, "bytes, or a number with K, M or G");
}
Result<std::uint64_t> OutputSpec::seconds(std::string_view name, std::uint64_t otherwise) const {
  static constexpr Unit units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
  return scaled(*this, name, otherwise, units, "seconds, or a number with s, m, h or d");
}
Result<std::uint64_t> OutputSpec::number(std::string_view name, std::uint64_t otherwise) const {
  static constexpr Unit units[] = {{"", 1}};
  return scaled(*this, name, otherwise, units, "a number");
}

Result<HostPort> parse_host_port(std::string_view text, std::string_view port) {
  HostPort where{"", std::string(port)};
  std::string_view rest = text;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos)
      return Error(errc::invalid, "expected [ADDRESS]:PORT, not " + std::string(text));
    where.host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
  } else {
    const auto colon = std::min(text.find(':'), text.size());
    where.host = text.substr(0, colon);
    rest = text.substr(colon);
  }
  if (rest.starts_with(':')) where.port = rest.substr(1);
  const bool digits =
      !where.port.empty() && std::ranges::all_of(where.port, [](char c) { return c >= '0' && c <= '9'; });
  if (where.host.empty() || !digits || (!rest.empty() && rest.front() != ':'))
    return Error(errc::invalid, "expected HOST:PORT, not '" + std::string(text) + "'");
  return where;
}

}  // namespace nightjar
