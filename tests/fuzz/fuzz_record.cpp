// SPDX-License-Identifier: Apache-2.0
// Arbitrary bytes as records: every line that comes out is JSON.
#include <cstdlib>
#include <cstring>
#include <vector>

#include <nlohmann/json.hpp>

#include "agent/pipeline.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const nightjar::Host host;
  // Made once: its plans take a hundred times as long as a few records.
  static const nightjar::Pipeline fresh(host, [] {
    nightjar::Pipeline::Settings settings;
    for (const auto& event : nightjar::all_events()) settings.wanted.insert(event.kind);
    settings.environment = {"PATH"};
    settings.sees_scripts = true;  // the other way reads files
    return settings;
  }());
  nightjar::Pipeline pipeline(fresh);
  std::string out;
  // Several records, so that the parts of an event meet: each begins with two bytes of length.
  std::vector<std::uint64_t> aligned;
  while (size >= 2) {
    std::uint16_t length = 0;
    std::memcpy(&length, data, 2);
    data += 2;
    size -= 2;
    const std::size_t here = std::min<std::size_t>(length, size);
    aligned.assign((here + 7) / 8 + 1, 0);
    std::memcpy(aligned.data(), data, here);
    data += here;
    size -= here;
    pipeline.take(std::as_bytes(std::span(aligned)).first(here), out);
  }
  for (std::size_t at = 0; at < out.size();) {
    const std::size_t end = out.find('\n', at);
    if (end == std::string::npos || !nlohmann::json::accept(out.substr(at, end - at))) std::abort();
    at = end + 1;
  }
  return 0;
}
