// SPDX-License-Identifier: Apache-2.0
#include "atlas/reduce.hpp"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "atlas/btf_reader.hpp"
#include "atlas/btf_writer.hpp"
#include "atlas/files.hpp"

namespace nightjar::atlas {

Result<std::string> reduce_btf(Bytes whole, std::span<const Bytes> modules, const std::set<Want>& wanted) {
  TypeNames names;
  for (const Want& want : wanted) names.insert(want.root);
  TypePool pool;
  const BtfView kernel = NIGHTJAR_TRY(BtfView::open(whole));
  Layout layout = NIGHTJAR_TRY(kernel.read(pool, &names));
  for (const TypeId id : layout) names.erase(essential_name(pool.at(id).name));
  for (const Bytes module : modules) {
    if (names.empty()) break;  // as libbpf: a module is asked only for what the kernel itself has not
    const BtfView view = NIGHTJAR_TRY(BtfView::open(module, &kernel));
    for (const TypeId id : NIGHTJAR_TRY(view.read(pool, &names))) layout.push_back(id);
  }
  std::sort(layout.begin(), layout.end());
  layout.erase(std::unique(layout.begin(), layout.end()), layout.end());
  TypePool small;
  const Layout kept = prune(LayoutIndex(pool, layout), wanted, small);
  return write_btf(small, kept);
}

Result<std::string> reduced_kernel_btf(const std::set<Want>& wanted, const std::string& folder) {
  constexpr std::size_t largest = std::size_t{256} << 20U;
  const std::string path_of_kernel = folder + "/vmlinux";
  const auto mapped = MappedFile::open(path_of_kernel);  // since 6.16: 7 MB that need not be copied
  std::string read;
  if (!mapped) {
    auto whole = read_whole(path_of_kernel, largest);
    if (!whole)
      return Error(errc::unsupported, "the kernel has no readable BTF", whole.error().sys()).because({whole.error()});
    read = std::move(*whole);
  }
  std::vector<std::string> paths;
  std::error_code problem;
  for (const auto& entry : std::filesystem::directory_iterator(folder, problem)) {
    if (entry.path().filename() != "vmlinux") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> contents;
  for (const std::string& path : paths) {
    auto content = read_whole(path, largest);
    // A module may go between the listing and the reading.
    if (!content && content.error().code() != errc::not_found) return std::move(content).error();
    if (content) contents.push_back(std::move(*content));
  }
  std::vector<Bytes> modules;
  for (const std::string& content : contents) modules.push_back(as_bytes(content));
  return reduce_btf(mapped ? mapped->bytes() : as_bytes(read), modules, wanted);
}

}  // namespace nightjar::atlas
