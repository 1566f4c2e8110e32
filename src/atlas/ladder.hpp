// SPDX-License-Identifier: Apache-2.0
// Where the types of a kernel are taken from: the first rung that holds.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "atlas/atlas.hpp"
#include "atlas/running.hpp"

namespace nightjar::atlas {

enum class Rung : std::uint8_t {
  kernel_btf,  ///< the kernel's own
  build_id,    ///< the atlas has this very kernel
  release,     ///< the atlas has a kernel of this release and version
};

std::string_view to_string(Rung rung);

struct LookupRequest {
  RunningKernel kernel;
  const WantedSet* wanted = nullptr;  ///< what the programs want
  bool use_kernel_btf = true;
};

struct FoundTypes {
  Rung rung = Rung::kernel_btf;
  std::string from;                      ///< the kernel's name in the atlas, or the path
  std::string btf;                       ///< for libbpf; empty for kernel_btf
  std::vector<std::string> passed_over;  ///< why each rung before did not hold
};

/// Fails with unsupported when no rung holds: the text says what is missing.
Result<FoundTypes> find_types(const Atlas& atlas, const LookupRequest& request);

}  // namespace nightjar::atlas
