// SPDX-License-Identifier: Apache-2.0
// Any bytes as an ELF file with DWARF: layouts, or an error. What is read can be written as BTF, and read again.
#include <cstdint>
#include <cstdlib>

#include "atlas/btf_reader.hpp"
#include "atlas/btf_writer.hpp"
#include "atlas/kernel_image.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nightjar::atlas;
  TypePool pool;
  const auto layout = read_dwarf(std::as_bytes(std::span(data, size)), pool, nullptr);
  if (!layout) return 0;
  const std::string btf = write_btf(pool, *layout);
  const auto view = BtfView::open(as_bytes(btf));
  TypePool other;
  if (!view || !view->read(other)) std::abort();
  return 0;
}
