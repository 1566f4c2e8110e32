// SPDX-License-Identifier: Apache-2.0
#include "output/sink.hpp"

#include <charconv>

namespace nightjar {

Result<unsigned> file_mode(const OutputSpec& spec, unsigned otherwise) {
  const std::string text = spec.text("mode");
  if (text.empty()) return otherwise;
  unsigned mode = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, mode, 8);
  if (parsed.ec != std::errc() || parsed.ptr != end || (mode & ~0666U) != 0)
    return Error(errc::invalid, "output " + spec.uri + ": mode=" + text + ": expected read and write bits, as 0640");
  return mode;
}

SinkMaker open_sink(const OutputSpec& spec, const SinkContext& context) {
  struct Row {
    std::string_view scheme;
    SinkMaker (*open)(const OutputSpec&, const SinkContext&);
  };
  static constexpr Row rows[] = {
      {"-", open_stdout},          {"file", open_file},       {"unix", open_unix}, {"syslog", open_syslog},
      {"journald", open_journald}, {"kafka", open_kafka},     {"http", open_http}, {"https", open_http},
      {"otlp+http", open_http},    {"otlp+https", open_http},
  };
  for (const Row& row : rows) {
    if (row.scheme == spec.scheme) return row.open(spec, context);
  }
  return Error(errc::invalid, "unknown output '" + spec.uri + "'");  // OutputSpec::parse knows the same schemes
}

}  // namespace nightjar
