// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel_types_source.hpp"

#include <memory>
#include <optional>

#include <unistd.h>

#include <sys/mman.h>

#include "agent/atlas_command.hpp"
#include "atlas/ladder.hpp"
#include "atlas/reduce.hpp"
#include "atlas/witness.hpp"

namespace nightjar {
namespace {

/// libbpf takes a path: a file in memory has one under /proc.
Result<UniqueFd> in_memory(const std::string& bytes) {
  UniqueFd file(::memfd_create("nightjar-types", MFD_CLOEXEC));
  if (!file.valid()) return Error::from_errno("make a file in memory for kernel types");
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(file.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno("write kernel types");
    done += static_cast<std::size_t>(count);
  }
  return file;
}

std::string in_memory_path(const UniqueFd& file) {
  return "/proc/self/fd/" + std::to_string(file.get());
}

}  // namespace

std::function<Result<atlas::Proof>(const atlas::LayoutIndex&)> proof_by_looking(const atlas::WantedSet& wanted) {
  // Started when the first layout has to be proved, and gone with the last.
  auto witness = std::make_shared<std::optional<atlas::Witness>>();
  return [witness, &wanted](const atlas::LayoutIndex& index) -> Result<atlas::Proof> {
    if (!*witness) witness->emplace(NIGHTJAR_TRY(atlas::Witness::start()));
    return atlas::prove(index, wanted, (*witness)->knowledge(),
                        [&](atlas::Start start, std::span<const atlas::Address> addresses) {
                          return (*witness)->read(start, addresses);
                        });
  };
}

std::set<Feature> without_what_needs_btf(std::set<Feature> without) {
  if (without.contains(Feature::btf))
    without.insert({Feature::tp_btf, Feature::fentry, Feature::task_iterator, Feature::lsm, Feature::plain_loads,
                    Feature::on_demand_maps});
  return without;
}

Result<KernelTypesSource> KernelTypesSource::find(const SensorOptions& options, Features& features,
                                                  const ProgramBlueprint& blueprint) {
  KernelTypesSource source;
  if (!options.btf_path.empty()) {
    source.path = options.btf_path;
    source.told = "--btf " + options.btf_path;
    return source;
  }
  // The kernel's own comes first, and an atlas is not even opened then.
  if (features.has(Feature::btf)) {
    const auto wanted = NIGHTJAR_TRY(atlas::wanted_of_object(blueprint.bytes(), atlas::WantedDetail::in_all));
    source.told = atlas::to_string(atlas::Rung::kernel_btf);
    // libbpf goes through all of it for each type that the programs name; where it cannot be cut down, so be it.
    if (const auto reduced = atlas::reduced_kernel_btf(wanted.all)) {
      source.memory = NIGHTJAR_TRY(in_memory(*reduced));
      source.path = in_memory_path(source.memory);
    }
    return source;
  }
  const atlas::WantedSet wanted = NIGHTJAR_TRY(atlas::wanted_of_object(blueprint.bytes()));
  AtlasOptions which;
  which.atlas = options.atlas_path;
  auto opened = open_atlas(which);
  if (!opened) return std::move(opened).error().in("no BTF on this kernel, and the atlas cannot be opened");
  atlas::LookupRequest request;
  request.kernel = atlas::RunningKernel::read();
  request.wanted = &wanted;
  request.use_kernel_btf = false;
  request.prove = proof_by_looking(wanted);
  auto found = atlas::find_types(*opened, request);
  if (!found) return std::move(found).error().in("btf: " + features.ask(Feature::btf).why);
  source.memory = NIGHTJAR_TRY(in_memory(found->btf));
  source.path = in_memory_path(source.memory);
  source.told = std::string(atlas::to_string(found->rung)) + ": " + found->from;
  if (found->rung == atlas::Rung::neighbour)
    source.told += ", " + std::to_string(found->proved) + " members proved, " + std::to_string(found->unverified) +
                   " not: programs that read these stay off";
  source.left_out = std::move(found->left_out);
  return source;
}

}  // namespace nightjar
