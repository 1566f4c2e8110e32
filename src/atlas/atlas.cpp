// SPDX-License-Identifier: Apache-2.0
#include "atlas/atlas.hpp"

#include <algorithm>

#include "atlas/elf_file.hpp"

namespace nightjar::atlas {

std::string Kernel::name() const {
  std::string out = release;
  for (const std::string& part : {version, architecture, distribution}) {
    if (!part.empty()) out += " " + part;
  }
  return out;
}

void Atlas::index_kernels() {
  by_build_id_.clear();
  by_release_.clear();
  for (std::size_t index = 0; index < kernels_.size(); ++index) {
    const Kernel& kernel = kernels_[index];
    if (!kernel.build_id.empty()) by_build_id_.try_emplace(kernel.build_id, index);
    by_release_[{kernel.release, kernel.version}].push_back(index);
  }
}

Added Atlas::add(Kernel kernel, const Layout& layout) {
  const auto verdict = [&](const Kernel& old) {
    return layouts_[old.layout] == layout ? Added::known : Added::differs;
  };
  if (const Kernel* old = kernel.build_id.empty() ? nullptr : find_build_id(kernel.build_id)) return verdict(*old);
  const auto key = std::make_pair(kernel.release, kernel.version);
  if (const auto same = by_release_.find(key); same != by_release_.end()) {
    for (const std::size_t index : same->second) {
      const Kernel& old = kernels_[index];
      const bool told_apart = !old.build_id.empty() && !kernel.build_id.empty();
      if (!told_apart && old.architecture == kernel.architecture && old.distribution == kernel.distribution)
        return verdict(old);
    }
  }
  const auto [known, is_new] = known_layouts_.try_emplace(layout, layouts_.size());
  if (is_new) layouts_.push_back(layout);
  kernel.layout = known->second;
  if (!kernel.build_id.empty()) by_build_id_.try_emplace(kernel.build_id, kernels_.size());
  by_release_[key].push_back(kernels_.size());
  kernels_.push_back(std::move(kernel));
  return Added::added;
}

std::vector<Kernel> Atlas::merge(const Atlas& other) {
  std::vector<Kernel> different;
  Copier copier(other.pool_, pool_);
  std::vector<Layout> copies;
  copies.reserve(other.layouts_.size());
  for (const Layout& layout : other.layouts_) copies.push_back(copier.copy(layout));
  for (const Kernel& kernel : other.kernels_) {
    if (add(kernel, copies[kernel.layout]) == Added::differs) different.push_back(kernel);
  }
  return different;
}

Atlas Atlas::pruned(const std::set<Want>& wanted) const {
  Atlas result;
  result.wanted_ = wanted;
  std::vector<Layout> layouts;
  layouts.reserve(layouts_.size());
  for (const Layout& layout : layouts_) layouts.push_back(prune(LayoutIndex(pool_, layout), wanted, result.pool_));
  for (const Kernel& kernel : kernels_) result.add(kernel, layouts[kernel.layout]);
  return result;
}

const Kernel* Atlas::find_build_id(std::string_view build_id) const {
  const auto found = by_build_id_.find(build_id);
  return found == by_build_id_.end() ? nullptr : &kernels_[found->second];
}

const Kernel* Atlas::find_release(std::string_view release, std::string_view version,
                                  std::string_view architecture) const {
  const auto found = by_release_.find({std::string(release), std::string(version)});
  if (found == by_release_.end()) return nullptr;
  for (const std::size_t index : found->second) {
    if (architecture.empty() || kernels_[index].architecture == architecture) return &kernels_[index];
  }
  return nullptr;
}

std::vector<const Kernel*> Atlas::find(std::string_view text) const {
  std::vector<const Kernel*> exact;
  std::vector<const Kernel*> partial;
  for (const Kernel& kernel : kernels_) {
    const std::string id = to_hex(as_bytes(kernel.build_id));
    if (kernel.release == text || id == text || kernel.source == text || kernel.name() == text)
      exact.push_back(&kernel);
    const bool is_part = kernel.name().find(text) != std::string::npos || (text.size() >= 7 && id.starts_with(text));
    if (is_part) partial.push_back(&kernel);
  }
  return exact.empty() ? partial : exact;
}

}  // namespace nightjar::atlas
