// SPDX-License-Identifier: Apache-2.0
// nightjar atlas list, show, diff, export, verify.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "agent/atlas_command.hpp"
#include "agent/commands.hpp"
#include "atlas/btf_writer.hpp"
#include "atlas/builder.hpp"
#include "atlas/compare.hpp"
#include "atlas/elf_file.hpp"
#include "atlas/export.hpp"
#include "atlas/files.hpp"
#include "atlas/running.hpp"
#include "wire/json.hpp"

namespace nightjar {
namespace {

using atlas::Atlas;
using atlas::Kernel;
using atlas::Layout;

std::string kernel_json(const Kernel& kernel) {
  return "{\"release\":" + json::quoted(kernel.release) + ",\"version\":" + json::quoted(kernel.version) +
         ",\"architecture\":" + json::quoted(kernel.architecture) +
         ",\"distribution\":" + json::quoted(kernel.distribution) +
         ",\"build_id\":" + json::quoted(atlas::to_hex(atlas::as_bytes(kernel.build_id))) +
         ",\"source\":" + json::quoted(kernel.source) + ",\"method\":" + json::quoted(kernel.method) +
         ",\"layout\":" + std::to_string(kernel.layout) + "}";
}

/// Reads a file, a package or the running kernel's BTF.
Result<atlas::KernelTypes> read_any(const std::string& source, atlas::TypePool& pool, const AtlasOptions& options) {
  if (source != "running") {
    atlas::BuildOptions build;
    build.prefer = options.prefer == "dwarf" ? atlas::Prefer::dwarf : atlas::Prefer::btf;
    return atlas::read_source({source, source}, pool, build);
  }
  constexpr std::size_t largest_btf = std::size_t{256} << 20U;
  const std::string bytes = NIGHTJAR_TRY(atlas::read_whole(atlas::kernel_btf_path, largest_btf));
  auto types = NIGHTJAR_TRY(atlas::read_kernel(atlas::as_bytes(bytes), pool));
  const auto running = atlas::RunningKernel::read();
  types.kernel.build_id = running.build_id;
  types.kernel.release = running.release;
  types.kernel.version = running.version;
  types.kernel.architecture = running.architecture;
  types.kernel.source = source;
  return types;
}

/// One kernel, from the atlas or read on the spot, in the pool that the views use.
struct Chosen {
  Kernel kernel;
  Layout layout;
  bool from_atlas = false;
};

Result<Chosen> choose(const std::string& text, Atlas& atlas, const AtlasOptions& options) {
  std::error_code problem;
  if (text == "running" || std::filesystem::is_regular_file(text, problem)) {
    auto types = NIGHTJAR_TRY(read_any(text, atlas.pool(), options));
    if (types.kernel.release.empty()) types.kernel.release = text;
    return Chosen{std::move(types.kernel), std::move(types.layout)};
  }
  const auto found = atlas.find(text);
  if (found.empty())
    return Error(errc::not_found, "no kernel '" + text + "' in the atlas (nightjar atlas list shows those there are)");
  for (const Kernel* kernel : found) {
    if (kernel->layout == found.front()->layout) continue;
    std::string names;
    for (std::size_t index = 0; index < std::min<std::size_t>(found.size(), 5); ++index)
      names += "\n  " + found[index]->name() + " " + atlas::to_hex(atlas::as_bytes(found[index]->build_id));
    return Error(errc::invalid, "'" + text + "' is " + std::to_string(found.size()) +
                                    " kernels, and their layouts differ; name one by release or build id:" + names);
  }
  return Chosen{*found.front(), atlas.layout_of(*found.front()), true};
}

/// The things that arguments name; what a struct holds for a name alone.
Result<std::vector<atlas::Want>> wants_of(const std::vector<std::string>& names, const atlas::LayoutIndex& index) {
  std::vector<atlas::Want> wants;
  for (const std::string& name : names) {
    auto parsed = atlas::Want::from_text(name);
    if (!parsed) return std::move(parsed).error().in("'" + name + "'");
    if (!parsed->path.empty()) {
      // "union", "enum" and "typedef" may be left out.
      for (const auto kind :
           {atlas::TypeKind::structure, atlas::TypeKind::onion, atlas::TypeKind::alias, atlas::TypeKind::enumeration}) {
        atlas::Want other = *parsed;
        other.kind = kind;
        if (parsed->kind == atlas::TypeKind::structure && index.has(other)) {
          parsed = other;
          break;
        }
      }
      wants.push_back(*parsed);
      continue;
    }
    const std::size_t before = wants.size();
    for (const auto kind :
         {atlas::TypeKind::structure, atlas::TypeKind::onion, atlas::TypeKind::alias, atlas::TypeKind::enumeration}) {
      for (auto& want : atlas::members_of(index, kind, parsed->root)) wants.push_back(std::move(want));
    }
    if (wants.size() == before) wants.push_back(*parsed);
  }
  return wants;
}

/// Whether the layout has what a user named: a type, or a member of one.
bool has_any(const std::string& name, const atlas::LayoutIndex& index) {
  const auto wants = wants_of({name}, index);
  return wants && std::any_of(wants->begin(), wants->end(), [&](const auto& want) { return index.has(want); });
}

void show_one(const atlas::LayoutIndex& index, const atlas::Want& want) {
  const std::string name = want.text();
  if (!index.has(want)) {
    std::printf("%-48s absent\n", name.c_str());
  } else if (const auto value = index.value(want)) {
    std::printf("%-48s value %lld\n", name.c_str(), static_cast<long long>(*value));
  } else if (want.path.empty()) {
    const auto id = index.find(want.kind, want.root).front();
    std::printf("%-48s %llu bytes\n", name.c_str(), static_cast<unsigned long long>(index.pool().size_of(id)));
  }
  for (const auto& place : index.places(want)) {
    std::printf("%-48s offset %-16s %4u bits  %s\n", name.c_str(), atlas::describe_offset(place).c_str(),
                place.bit_size, index.pool().spell(place.type).c_str());
  }
}

}  // namespace

int atlas_list(const AtlasOptions& options) {
  auto atlas = open_atlas(options);
  if (!atlas) return fail(atlas.error());
  for (const std::string& text : options.arguments) {
    if (std::filesystem::is_regular_file(text))
      return fail(Error(errc::invalid, text + " is a file, no kernel's name: for an atlas say --atlas " + text));
  }
  std::vector<const Kernel*> kernels;
  for (const Kernel& kernel : atlas->kernels()) {
    const bool fits = std::all_of(options.arguments.begin(), options.arguments.end(), [&](const std::string& text) {
      return (kernel.name() + " " + kernel.source).find(text) != std::string::npos;
    });
    if (fits) kernels.push_back(&kernel);
  }
  if (options.json) {
    std::string out = "{\"kernels\":[";
    for (const Kernel* kernel : kernels) out += (out.back() == '[' ? "\n" : ",\n") + kernel_json(*kernel);
    out += "],\"layouts\":" + std::to_string(atlas->layouts().size()) +
           ",\"members\":" + std::to_string(atlas->wanted().size()) +
           ",\"signed\":" + (atlas->signature() == atlas::Signature::valid ? "true" : "false") + "}";
    std::puts(out.c_str());
    return exit_done;
  }
  for (const Kernel* kernel : kernels) {
    std::printf("%-32s %-8s %-10s layout %-4zu %-5s %s  %s\n", kernel->release.c_str(), kernel->architecture.c_str(),
                kernel->distribution.empty() ? "-" : kernel->distribution.c_str(), kernel->layout,
                kernel->method.c_str(), atlas::to_hex(atlas::as_bytes(kernel->build_id)).c_str(),
                kernel->version.c_str());
  }
  const std::string kept = atlas->wanted().empty() ? "every type" : std::to_string(atlas->wanted().size()) + " members";
  std::printf("%zu kernels, %zu layouts, %s\n", kernels.size(), atlas->layouts().size(), kept.c_str());
  return exit_done;
}

int atlas_show(const AtlasOptions& options) {
  auto atlas = open_atlas(options);
  if (!atlas) return fail(atlas.error());
  auto chosen = choose(options.arguments.front(), *atlas, options);
  if (!chosen) return fail(chosen.error());
  const atlas::LayoutIndex index(atlas->pool(), chosen->layout);
  const std::vector<std::string> names(options.arguments.begin() + 1, options.arguments.end());
  std::vector<atlas::Want> wants;
  if (names.empty()) {
    auto wanted = wanted_by(options.object);
    if (!wanted) return fail(wanted.error());
    wants.assign(wanted->all.begin(), wanted->all.end());
  } else {
    auto parsed = wants_of(names, index);
    if (!parsed) return fail(parsed.error());
    wants = std::move(*parsed);
  }
  // A pack says nothing of what it does not keep: that must not read as "absent".
  if (chosen->from_atlas && !atlas->wanted().empty()) {
    for (const atlas::Want& want : wants) {
      if (atlas->wanted().contains(want) || index.has(want)) continue;
      return fail(
          Error(errc::not_found, "this pack does not keep " + want.text() + ": ask a store, or a kernel's file"));
    }
  }
  if (options.json) {
    std::cout << atlas::export_json(chosen->kernel, index, {wants.begin(), wants.end()});
    return exit_done;
  }
  std::printf("%s %s\n", chosen->kernel.name().c_str(),
              atlas::to_hex(atlas::as_bytes(chosen->kernel.build_id)).c_str());
  bool any = false;
  for (const atlas::Want& want : wants) {
    show_one(index, want);
    any |= index.has(want);
  }
  return any ? exit_done : exit_failed;
}

int atlas_diff(const AtlasOptions& options) {
  if (options.arguments.size() < 2) return fail(Error(errc::invalid, "atlas diff: two kernels are needed"));
  auto atlas = open_atlas(options);
  if (!atlas) return fail(atlas.error());
  auto first = choose(options.arguments[0], *atlas, options);
  if (!first) return fail(first.error());
  auto second = choose(options.arguments[1], *atlas, options);
  if (!second) return fail(second.error());
  const std::vector<std::string> names(options.arguments.begin() + 2, options.arguments.end());
  std::set<std::string> only;
  if (names.empty() && !atlas->wanted().empty()) {
    for (const atlas::Want& want : atlas->wanted()) only.insert(want.root);
  } else if (names.empty()) {
    for (const Layout* layout : {&first->layout, &second->layout}) {
      for (const auto id : *layout) only.insert(std::string(atlas::essential_name(atlas->pool().at(id).name)));
    }
  }
  // Against a pack, only what the pack keeps can be compared.
  if (first->from_atlas != second->from_atlas && !atlas->wanted().empty()) {
    Chosen& whole = first->from_atlas ? *second : *first;
    atlas::TypePool copy;
    const Layout copied = atlas::Copier(atlas->pool(), copy).copy(whole.layout);
    whole.layout = atlas::prune(atlas::LayoutIndex(copy, copied), atlas->wanted(), atlas->pool());
  }
  const atlas::LayoutIndex a(atlas->pool(), first->layout);
  const atlas::LayoutIndex b(atlas->pool(), second->layout);
  std::set<atlas::Want> members;
  for (const std::string& name : names) {
    const auto& index = has_any(name, a) ? a : b;
    if (!has_any(name, index)) return fail(Error(errc::not_found, "neither kernel has " + name));
    const atlas::Want named = *atlas::Want::from_text(name);
    if (named.path.empty()) {
      only.insert(named.root);
    } else {
      const auto wants = *wants_of({name}, index);
      members.insert(wants.begin(), wants.end());
    }
  }
  auto found = atlas::changes(a, b, only);
  for (auto& one : atlas::differences(a, b, members)) found.push_back(std::move(one));
  if (options.json) {
    std::string out =
        "{\"first\":" + kernel_json(first->kernel) + ",\"second\":" + kernel_json(second->kernel) + ",\"changes\":[";
    for (const auto& one : found)
      out += std::string(out.back() == '[' ? "" : ",") + "\n{\"name\":" + json::quoted(one.subject) +
             ",\"change\":" + json::quoted(one.words) + "}";
    std::puts((out + "]}").c_str());
    return exit_done;
  }
  std::printf("from %s\nto   %s\n", first->kernel.name().c_str(), second->kernel.name().c_str());
  for (const auto& one : found) std::puts(one.text().c_str());
  if (found.empty()) std::puts("nothing moved");
  return exit_done;
}

int atlas_export(const AtlasOptions& options) {
  auto atlas = open_atlas(options);
  if (!atlas) return fail(atlas.error());
  auto chosen = choose(options.arguments.front(), *atlas, options);
  if (!chosen) return fail(chosen.error());
  const atlas::LayoutIndex index(atlas->pool(), chosen->layout);
  const std::set<std::string> structs(options.arguments.begin() + 1, options.arguments.end());
  auto wanted = atlas::wanted_or(*atlas, index, structs);
  if (wanted.empty()) {
    auto by_agent = wanted_by(options.object);
    if (!by_agent) return fail(by_agent.error());
    wanted = by_agent->all;
  }
  std::string out;
  if (options.form == "btf") {
    out = atlas::write_btf(atlas->pool(), chosen->layout);
  } else if (options.form == "json") {
    out = atlas::export_json(chosen->kernel, index, wanted);
  } else {
    out = atlas::export_header(chosen->kernel, index, wanted);
  }
  if (!options.output.empty()) {
    if (auto written = atlas::write_whole(options.output, out); !written) return fail(written.error());
    return exit_done;
  }
  std::cout << out;
  return std::cout.flush() ? exit_done : exit_failed;
}

int atlas_verify(const AtlasOptions& options) {
  auto atlas = open_atlas(options);
  if (!atlas) return fail(atlas.error());
  std::printf("whole: %zu kernels, %zu layouts; %s\n", atlas->kernels().size(), atlas->layouts().size(),
              atlas->signature() == atlas::Signature::valid ? "signed, and the signature fits" : "not signed");
  auto wanted = wanted_by(options.object);
  if (!wanted) return fail(wanted.error());
  bool all_well = true;
  for (const std::string& source : options.arguments) {
    atlas::TypePool pool;
    auto types = read_any(source, pool, options);
    if (!types) {
      (void)fail(std::move(types).error().in(source));
      all_well = false;
      continue;
    }
    const Kernel* kernel = types->kernel.build_id.empty()
                               ? atlas->find_release(types->kernel.release, types->kernel.version, {})
                               : atlas->find_build_id(types->kernel.build_id);
    if (kernel == nullptr) {
      std::printf("%s: %s is not in the atlas\n", source.c_str(), types->kernel.name().c_str());
      all_well = false;
      continue;
    }
    std::set<atlas::Want> compared = wanted->all;
    if (!atlas->wanted().empty()) {
      std::set<atlas::Want> both;
      std::set_intersection(compared.begin(), compared.end(), atlas->wanted().begin(), atlas->wanted().end(),
                            std::inserter(both, both.end()));
      compared = std::move(both);
    }
    const auto found = atlas::differences(atlas::LayoutIndex(atlas->pool(), atlas->layout_of(*kernel)),
                                          atlas::LayoutIndex(pool, types->layout), compared);
    for (const auto& one : found) std::printf("%s: %s\n", source.c_str(), one.text().c_str());
    if (found.empty()) std::printf("%s: agrees in %zu members\n", source.c_str(), compared.size());
    all_well &= found.empty();
  }
  return all_well ? exit_done : exit_failed;
}

}  // namespace nightjar
