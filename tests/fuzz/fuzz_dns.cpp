// SPDX-License-Identifier: Apache-2.0
// Whatever comes from port 53: parsed or refused, never out of bounds, and no larger than it may grow.
#include <cstdlib>

#include "wire/dns.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto message = nightjar::parse_dns(bytes.subspan(1), (data[0] & 1) != 0);
  if (!message) return 0;
  if (message->questions.size() > 8 || message->answers.size() > 64) std::abort();
  for (const auto& question : message->questions) {
    if (question.name.empty() || question.name.size() > 4UL * 255) std::abort();
  }
  for (const auto& answer : message->answers) {
    if (answer.data.size() > 4096) std::abort();
  }
  return 0;
}
