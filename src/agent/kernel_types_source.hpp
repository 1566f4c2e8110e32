// SPDX-License-Identifier: Apache-2.0
// Where the programs' knowledge of kernel structures comes from: the kernel's BTF, a file, or the atlas.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "agent/options.hpp"
#include "atlas/proof.hpp"
#include "nightjar/blueprint.hpp"
#include "nightjar/log.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {

struct KernelTypesSource {
  std::string path;  ///< for GroupOptions::btf_path; empty: the kernel's own BTF
  std::string told;  ///< for people: "the kernel's own BTF", "atlas, by build id: ..."
  /// Programs that must not be loaded, and why: a member that they read could not be proved (atlas::FoundTypes).
  std::map<std::string, std::string> left_out;
  UniqueFd memory;  ///< holds what `path` names, when that came from the atlas

  /// Fails with unsupported when this kernel has no BTF and no atlas fits, saying what is missing; with what opening
  /// the atlas fails with.
  static Result<KernelTypesSource> find(const SensorOptions& options, Features& features,
                                        const ProgramBlueprint& blueprint);
};

/// For atlas::LookupRequest::prove. `wanted` must outlive it.
std::function<Result<atlas::Proof>(const atlas::LayoutIndex&)> proof_by_looking(const atlas::WantedSet& wanted);

/// What a kernel without BTF cannot have either, added to what is to be pretended away.
std::set<Feature> without_what_needs_btf(std::set<Feature> without);

}  // namespace nightjar
