// SPDX-License-Identifier: Apache-2.0
// Any bytes as an ELF file with DWARF: layouts, or an error. What is read can be written as BTF, and read again.
#include <cstdint>

#include "atlas/kernel_image.hpp"
#include "btf_again.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nightjar::atlas;
  TypePool pool;
  const auto layout = read_dwarf(std::as_bytes(std::span(data, size)), pool, nullptr);
  if (!layout) return 0;
  check_written_again(pool, *layout);
  return 0;
}
