// SPDX-License-Identifier: Apache-2.0
// A package's header from rpm's database: any bytes give values or an error.
#include <cstdint>
#include <span>

#include "agent/rpm_header.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nightjar;
  const auto header = RpmHeader::read(std::as_bytes(std::span(data, size)));
  if (!header) return 0;
  (void)header->package();
  for (const std::uint32_t number : {0U, 1U, 7U, UINT32_MAX - 1, UINT32_MAX}) (void)header->file(number);
  return 0;
}
