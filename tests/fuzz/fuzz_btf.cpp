// SPDX-License-Identifier: Apache-2.0
// Any bytes as BTF: what is read can be written and read again.
#include <cstdint>

#include "btf_again.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nightjar::atlas;
  const auto view = BtfView::open(std::as_bytes(std::span(data, size)));
  if (!view) return 0;
  TypePool pool;
  const auto layout = view->read(pool);
  if (!layout) return 0;
  check_written_again(pool, *layout);
  return 0;
}
