// SPDX-License-Identifier: Apache-2.0
// Any bytes as a kernel image, vmlinux (BTF, DWARF), compressed or not.
#include <cstdint>

#include "atlas/kernel_image.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nightjar::atlas;
  for (const Prefer prefer : {Prefer::btf, Prefer::dwarf}) {
    TypePool pool;
    (void)read_kernel(std::as_bytes(std::span(data, size)), pool, {.prefer = prefer});
  }
  return 0;
}
