// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "atlas/types.hpp"

namespace nightjar::atlas {

/// The layout as ordinary BTF, for libbpf (bpf_object_open_opts.btf_custom_path) and any other tool. The same layout
/// gives the same bytes.
std::string write_btf(const TypePool& pool, const Layout& layout);

}  // namespace nightjar::atlas
