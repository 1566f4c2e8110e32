// SPDX-License-Identifier: Apache-2.0
// Where the types of a kernel are taken from: the first rung that holds.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "atlas/atlas.hpp"
#include "atlas/proof.hpp"
#include "atlas/running.hpp"

namespace nightjar::atlas {

enum class Rung : std::uint8_t {
  kernel_btf,  ///< the kernel's own
  build_id,    ///< the atlas has this very kernel
  release,     ///< the atlas has a kernel of this release and version
  neighbour,   ///< the atlas has a kernel whose layout was proved to be this one's
};

std::string_view to_string(Rung rung);

struct LookupRequest {
  RunningKernel kernel;
  const WantedSet* wanted = nullptr;  ///< what the programs want
  bool use_kernel_btf = true;
  /// Whether a layout is the running kernel's, by looking (Witness); none: the last rung is not tried.
  std::function<Result<Proof>(const LayoutIndex&)> prove = {};
};

struct FoundTypes {
  Rung rung = Rung::kernel_btf;
  std::string from;                      ///< the kernel's name in the atlas, or the path
  std::string btf;                       ///< for libbpf; empty for kernel_btf
  std::vector<std::string> passed_over;  ///< why each rung before did not hold
  /// Of a neighbour: programs that need something that could not be proved, and what. They must not be loaded.
  std::map<std::string, std::string> left_out = {};
  std::size_t proved = 0, unverified = 0;  ///< of a neighbour: members
};

/// Fails with unsupported when no rung holds: the text says what is missing, and of the nearest neighbour which member
/// is elsewhere.
Result<FoundTypes> find_types(const Atlas& atlas, const LookupRequest& request);

}  // namespace nightjar::atlas
