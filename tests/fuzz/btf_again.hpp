// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>

#include "atlas/btf_reader.hpp"
#include "atlas/btf_writer.hpp"

namespace nightjar::atlas {

/// What was read can be written as BTF, and read again; else the program ends.
inline void check_written_again(const TypePool& pool, const Layout& layout) {
  const std::string btf = write_btf(pool, layout);
  const auto view = BtfView::open(as_bytes(btf));
  TypePool other;
  if (!view || !view->read(other)) std::abort();
}

}  // namespace nightjar::atlas
