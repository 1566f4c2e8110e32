// SPDX-License-Identifier: Apache-2.0
#include "atlas/ladder.hpp"

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
    if (atlas.wanted().contains(want)) continue;
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
  std::string why;
  for (const std::string& step : passed_over) why += (why.empty() ? "" : "; ") + step;
  return Error(errc::unsupported, "the layout of this kernel's types is not known: " + why);
}

}  // namespace nightjar::atlas
