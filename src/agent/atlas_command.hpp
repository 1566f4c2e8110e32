// SPDX-License-Identifier: Apache-2.0
// nightjar atlas: the options of its commands as values, and the commands.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "atlas/atlas.hpp"
#include "atlas/kernel_image.hpp"

namespace nightjar {

/// As typed; each command uses what it has options for.
struct AtlasOptions {
  std::string atlas;   ///< --atlas; empty: the pack inside of this executable
  std::string output;  ///< --output
  std::string key;     ///< --key: PEM file of whom the atlas must be signed by
  std::string sign;    ///< --sign: PEM file of the private key
  std::vector<std::string> arguments;
  bool json = false;
  // build, add
  std::vector<std::string> indices;
  std::string base, fetch = "curl --fail --silent --show-error --location {}";
  unsigned jobs = 0;
  std::string shard = "1/1";
  std::string prefer = "btf";
  bool cross_check = false, debug_packages = false, quiet = false;
  std::vector<std::string> modules;
  std::string object;  ///< of which the relocations say what is wanted; empty: the agent's own
  std::string build_id, release, version, architecture, distribution;
  bool running = false;
  // lookup
  bool without_btf = false;
  // export
  std::string form = "btf";
};

/// `nightjar atlas ...`; returns the exit status.
int atlas_command(int argc, char** argv);

/// The pack inside of this executable.
atlas::Bytes shipped_atlas();
/// --atlas, or the pack inside. Fails as Atlas::open.
Result<atlas::Atlas> open_atlas(const AtlasOptions& options);
/// What the object (or the agent's own) wants to know of a kernel.
Result<atlas::WantedSet> wanted_by(const std::string& object_path);

// Each prints to stdout what was asked for, and what went wrong on stderr.
int atlas_build(const AtlasOptions& options);
int atlas_add(const AtlasOptions& options);
int atlas_pack(const AtlasOptions& options);
int atlas_merge(const AtlasOptions& options);
int atlas_list(const AtlasOptions& options);
int atlas_show(const AtlasOptions& options);
int atlas_diff(const AtlasOptions& options);
int atlas_export(const AtlasOptions& options);
int atlas_verify(const AtlasOptions& options);
int atlas_lookup(const AtlasOptions& options);

}  // namespace nightjar
