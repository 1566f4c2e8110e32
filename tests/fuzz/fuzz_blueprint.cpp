// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <span>

#include "nightjar/blueprint.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)nightjar::ProgramBlueprint::from_bytes(std::as_bytes(std::span(data, size)), "fuzzed");
  return 0;
}
