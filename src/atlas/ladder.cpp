// SPDX-License-Identifier: Apache-2.0
#include "atlas/ladder.hpp"

#include <algorithm>
#include <cstdlib>

#include <unistd.h>

#include "atlas/btf_writer.hpp"
#include "atlas/elf_file.hpp"

namespace nightjar::atlas {

std::string_view to_string(Rung rung) {
  switch (rung) {
    case Rung::kernel_btf:
      return "the kernel's own BTF";
    case Rung::build_id:
      return "atlas, by build id";
    case Rung::release:
      return "atlas, by release and version";
    case Rung::neighbour:
      return "atlas, a neighbour proved to be the same";
  }
  return "";
}

namespace {

/// What the programs want and the atlas did not keep: it was made for another object.
Result<> check_wanted(const Atlas& atlas, const LookupRequest& request) {
  if (atlas.wanted().empty() || request.wanted == nullptr) return {};
  std::string missing;
  std::size_t count = 0;
  for (const Want& want : request.wanted->all) {
    if (atlas.wanted().contains(want) || request.wanted->last_resort.contains(want)) continue;
    if (++count <= 3) missing += (missing.empty() ? "" : ", ") + want.text();
  }
  if (count == 0) return {};
  return Error(errc::unsupported, "the atlas was made for other programs: it does not keep " + missing +
                                      (count > 3 ? " and " + std::to_string(count - 3) + " more" : "") +
                                      " (nightjar atlas pack makes one that does)");
}

FoundTypes take(const Atlas& atlas, const Kernel& kernel, Rung rung, const LookupRequest& request,
                std::vector<std::string> passed_over) {
  FoundTypes found;
  found.rung = rung;
  found.from = kernel.name() + " (" + kernel.source + ")";
  found.passed_over = std::move(passed_over);
  if (atlas.wanted().empty() && request.wanted != nullptr) {
    TypePool pool;
    const Layout layout = prune(LayoutIndex(atlas.pool(), atlas.layout_of(kernel)), request.wanted->all, pool);
    found.btf = write_btf(pool, layout);
  } else {
    found.btf = write_btf(atlas.pool(), atlas.layout_of(kernel));
  }
  return found;
}

/// The numbers in a release, for telling which is near: 6.1.0-56-cloud-amd64 is 6, 1, 0, 56.
std::vector<long> numbers_of(const std::string& release) {
  std::vector<long> numbers;
  for (std::size_t at = 0; at < release.size() && numbers.size() < 4;) {
    if (release[at] < '0' || release[at] > '9') {
      ++at;
      continue;
    }
    char* end = nullptr;
    numbers.push_back(std::strtol(release.c_str() + at, &end, 10));
    at = static_cast<std::size_t>(end - release.c_str());
  }
  numbers.resize(4);
  return numbers;
}

/// One kernel for each layout, the nearest by release first.
std::vector<const Kernel*> neighbours(const Atlas& atlas, const RunningKernel& running) {
  const auto own = numbers_of(running.release);
  const auto distance = [&own](const Kernel* kernel) {
    auto numbers = numbers_of(kernel->release);
    for (std::size_t at = 0; at < numbers.size(); ++at) numbers[at] = std::labs(numbers[at] - own[at]);
    return numbers;
  };
  std::vector<const Kernel*> kernels;
  for (const Kernel& kernel : atlas.kernels()) {
    if (kernel.architecture == running.architecture) kernels.push_back(&kernel);
  }
  std::stable_sort(kernels.begin(), kernels.end(),
                   [&](const Kernel* a, const Kernel* b) { return distance(a) < distance(b); });
  std::set<std::size_t> layouts;
  std::erase_if(kernels, [&layouts](const Kernel* kernel) { return !layouts.insert(kernel->layout).second; });
  return kernels;
}

Result<FoundTypes> find_neighbour(const Atlas& atlas, const LookupRequest& request,
                                  std::vector<std::string>& passed_over) {
  std::string nearest;
  const auto kernels = neighbours(atlas, request.kernel);
  for (const Kernel* kernel : kernels) {
    const Proof proof = NIGHTJAR_TRY(request.prove(LayoutIndex(atlas.pool(), atlas.layout_of(*kernel))));
    if (!proof.refused.empty()) {
      if (nearest.empty()) nearest = ", the nearest is " + kernel->release + ": " + proof.refused;
      continue;
    }
    FoundTypes found = take(atlas, *kernel, Rung::neighbour, request, std::move(passed_over));
    found.left_out = programs_to_leave_out(*request.wanted, proof);
    found.proved = proof.proved.size();
    found.unverified = proof.unverified.size();
    return found;
  }
  return Error(errc::unsupported,
               "atlas, a neighbour: none of " + std::to_string(kernels.size()) + " layouts is this kernel's" + nearest);
}

}  // namespace

Result<FoundTypes> find_types(const Atlas& atlas, const LookupRequest& request) {
  std::vector<std::string> passed_over;
  if (request.use_kernel_btf) {
    if (::access(kernel_btf_path, R_OK) == 0)
      return FoundTypes{.rung = Rung::kernel_btf, .from = kernel_btf_path, .btf = {}, .passed_over = {}};
    passed_over.emplace_back("the kernel's own BTF: there is no readable " + std::string(kernel_btf_path));
  } else {
    passed_over.emplace_back("the kernel's own BTF: not asked");
  }
  NIGHTJAR_CHECK(check_wanted(atlas, request));
  const RunningKernel& kernel = request.kernel;
  if (const Kernel* same = kernel.build_id.empty() ? nullptr : atlas.find_build_id(kernel.build_id))
    return take(atlas, *same, Rung::build_id, request, std::move(passed_over));
  passed_over.push_back("atlas, by build id: " + (kernel.build_id.empty()
                                                      ? "the kernel's is not known"
                                                      : "it has no kernel " + to_hex(as_bytes(kernel.build_id))));
  if (const Kernel* same = atlas.find_release(kernel.release, kernel.version, kernel.architecture))
    return take(atlas, *same, Rung::release, request, std::move(passed_over));
  passed_over.push_back("atlas, by release and version: it has no " + kernel.release + " " + kernel.version);
  if (request.prove && request.wanted != nullptr) {
    auto found = find_neighbour(atlas, request, passed_over);
    if (found) return found;
    passed_over.push_back(found.error().code() == errc::unsupported ? found.error().what() : to_string(found.error()));
  }
  std::string why;
  for (const std::string& step : passed_over) why += (why.empty() ? "" : "; ") + step;
  return Error(errc::unsupported, "the layout of this kernel's types is not known: " + why);
}

}  // namespace nightjar::atlas
