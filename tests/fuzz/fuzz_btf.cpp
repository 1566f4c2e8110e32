// SPDX-License-Identifier: Apache-2.0
// Any bytes as BTF: what is read can be written and read again.
#include <cstdint>
#include <cstdlib>

#include "atlas/btf_reader.hpp"
#include "atlas/btf_writer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nightjar::atlas;
  const auto view = BtfView::open(std::as_bytes(std::span(data, size)));
  if (!view) return 0;
  TypePool pool;
  const auto layout = view->read(pool);
  if (!layout) return 0;
  const std::string again = write_btf(pool, *layout);
  const auto second = BtfView::open(as_bytes(again));
  TypePool other;
  if (!second || !second->read(other)) std::abort();
  return 0;
}
