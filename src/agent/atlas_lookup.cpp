// SPDX-License-Identifier: Apache-2.0
// nightjar atlas lookup: the ladder that the agent climbs, told rung by rung.
#include <cstdio>

#include "agent/atlas_command.hpp"
#include "agent/commands.hpp"
#include "agent/kernel_types_source.hpp"
#include "atlas/elf_file.hpp"
#include "atlas/files.hpp"
#include "atlas/ladder.hpp"
#include "wire/json.hpp"

namespace nightjar {

int atlas_lookup(const AtlasOptions& options) {
  auto opened = open_atlas(options);
  if (!opened) return fail(opened.error());
  auto wanted = wanted_by(options.object);
  if (!wanted) return fail(wanted.error());
  atlas::LookupRequest request;
  request.wanted = &*wanted;
  request.kernel = atlas::RunningKernel::read();
  const bool another = !options.build_id.empty() || !options.release.empty();
  if (another) {
    auto id = atlas::from_hex(options.build_id);
    if (!id) return fail(std::move(id).error().in("--build-id"));
    request.kernel = {*id, options.release, options.version, options.architecture};
  }
  request.use_kernel_btf = !another && !options.without_btf;
  // Only the running kernel can be looked at.
  if (!another) request.prove = proof_by_looking(*wanted);
  auto found = atlas::find_types(*opened, request);
  if (!found) return fail(found.error());
  if (!options.output.empty()) {
    const std::string& btf = found->btf;
    if (btf.empty())
      return fail(Error(errc::invalid, "the kernel's own BTF would be used: " + std::string(atlas::kernel_btf_path)));
    if (auto written = atlas::write_whole(options.output, btf); !written) return fail(written.error());
  }
  if (options.json) {
    std::printf("{\"release\":%s,\"build_id\":%s,\"found\":%s,\"from\":%s}\n",
                json::quoted(request.kernel.release).c_str(),
                json::quoted(atlas::to_hex(atlas::as_bytes(request.kernel.build_id))).c_str(),
                json::quoted(atlas::to_string(found->rung)).c_str(), json::quoted(found->from).c_str());
    return exit_done;
  }
  std::printf("kernel    %s %s\nbuild id  %s\n", request.kernel.release.c_str(), request.kernel.version.c_str(),
              atlas::to_hex(atlas::as_bytes(request.kernel.build_id)).c_str());
  for (const std::string& step : found->passed_over) std::printf("not       %s\n", step.c_str());
  std::printf("found     %s: %s\n", std::string(atlas::to_string(found->rung)).c_str(), found->from.c_str());
  if (found->rung == atlas::Rung::neighbour)
    std::printf("members   %zu proved, %zu not\n", found->proved, found->unverified);
  for (const auto& [program, why] : found->left_out) {
    // Functions that programs call are in those programs' lines.
    if (program.find("__") != std::string::npos) std::printf("off       %s: %s\n", program.c_str(), why.c_str());
  }
  return exit_done;
}

}  // namespace nightjar
