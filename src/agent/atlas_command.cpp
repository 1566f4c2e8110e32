// SPDX-License-Identifier: Apache-2.0
#include "agent/atlas_command.hpp"

#include <cstdio>
#include <functional>
#include <iostream>
#include <map>

#include <CLI/CLI.hpp>

#include "agent/commands.hpp"
#include "agent/programs.hpp"
#include "atlas/digest.hpp"
#include "atlas/files.hpp"

// atlas_pack.S
extern "C" {
extern const std::byte nightjar_atlas_begin[];  // NOLINT(modernize-avoid-c-arrays): a linker symbol
extern const std::byte nightjar_atlas_end[];    // NOLINT(modernize-avoid-c-arrays)
}

namespace nightjar {
namespace {

void add_source_options(CLI::App& command, AtlasOptions& options) {
  command.add_option("SOURCE", options.arguments, "vmlinux, kernel image, BTF file, .deb package, or a folder of them");
  command.add_option("--prefer", options.prefer, "btf (default) or dwarf, for a kernel that has both")
      ->check(CLI::IsMember({"btf", "dwarf"}));
  command.add_flag("--cross-check", options.cross_check, "Where a kernel has both, BTF and DWARF must agree");
  command.add_option("--modules", options.modules, "Types of these modules of a package too")->delimiter(',');
  command.add_option("--object", options.object, "BPF object that says what is wanted; default: the agent's own");
  command.add_option("--sign", options.sign, "Sign with this Ed25519 key (PEM)")->check(CLI::ExistingFile);
}

void add_atlas_option(CLI::App& command, AtlasOptions& options) {
  command.add_option("--atlas", options.atlas, "Atlas file; default: the pack inside of nightjar")->type_name("PATH");
  command.add_option("--key", options.key, "The atlas must be signed with this Ed25519 key (PEM)")
      ->check(CLI::ExistingFile);
}

using Run = int (*)(const AtlasOptions&);

void add_building(CLI::App& app, AtlasOptions& options, std::map<CLI::App*, Run>& commands) {
  CLI::App* build = app.add_subcommand("build", "Read many kernels into an atlas; run again, it goes on");
  commands[build] = atlas_build;
  add_source_options(*build, options);
  build->add_option("--output", options.output, "The atlas, made or added to")->type_name("PATH")->required();
  build->add_option("--index", options.indices, "Debian package index (Packages, may be compressed); repeatable");
  build->add_option("--base", options.base, "Folder or URI that the paths of an index are relative to");
  build->add_option("--fetch", options.fetch, "Command that writes {} to its output, for paths that are no files");
  build->add_flag("--debug-packages", options.debug_packages, "Of an index take the debug packages");
  build->add_option("--jobs", options.jobs, "Kernels read at once; default: one a CPU");
  build->add_option("--shard", options.shard, "Only part I of N of the work (I/N); see merge");
  build->add_flag("--quiet", options.quiet, "No progress bar");

  CLI::App* add = app.add_subcommand("add", "Add kernels to an atlas");
  commands[add] = atlas_add;
  add_source_options(*add, options);
  add->add_option("--atlas", options.atlas, "The atlas to add to; made if there is none")
      ->type_name("PATH")
      ->required();
  add->add_flag("--running", options.running, "The running kernel's own BTF, under its own name");
  add->add_option("--build-id", options.build_id, "Of a source that does not say (raw BTF), in hexadecimal");
  add->add_option("--release", options.release, "As uname -r gives it");
  add->add_option("--kernel-version", options.version, "As uname -v gives it");
  add->add_option("--arch", options.architecture, "As uname -m gives it");
  add->add_option("--distribution", options.distribution, "debian, ubuntu, ...");

  CLI::App* pack = app.add_subcommand("pack", "Make a small atlas: only what the programs want");
  commands[pack] = atlas_pack;
  pack->add_option("STORE", options.arguments, "The atlas to take the kernels from")->required()->expected(1);
  pack->add_option("--output", options.output, "The pack")->type_name("PATH")->required();
  pack->add_option("--object", options.object, "BPF object that says what is wanted; default: the agent's own");
  pack->add_option("--sign", options.sign, "Sign with this Ed25519 key (PEM)")->check(CLI::ExistingFile);

  CLI::App* merge = app.add_subcommand("merge", "Join atlases, such as the shards of a build");
  commands[merge] = atlas_merge;
  merge->add_option("ATLAS", options.arguments, "Atlases")->required();
  merge->add_option("--output", options.output, "The atlas that has them all")->type_name("PATH")->required();
  merge->add_option("--sign", options.sign, "Sign with this Ed25519 key (PEM)")->check(CLI::ExistingFile);
}

void add_views(CLI::App& app, AtlasOptions& options, std::map<CLI::App*, Run>& commands) {
  CLI::App* list = app.add_subcommand("list", "The kernels of an atlas");
  commands[list] = atlas_list;
  add_atlas_option(*list, options);
  list->add_option("TEXT", options.arguments, "Only kernels with this in their name");
  list->add_flag("--json", options.json, "As JSON");

  CLI::App* show = app.add_subcommand("show", "Where members are: show KERNEL STRUCT[.MEMBER]...");
  commands[show] = atlas_show;
  add_atlas_option(*show, options);
  show->add_option("KERNEL", options.arguments,
                   "Release, build id, file, or 'running'; then structs or members; none: what the programs want")
      ->required();
  show->add_flag("--json", options.json, "As JSON");

  CLI::App* diff =
      app.add_subcommand("diff", "What moved between two kernels, in words: diff A B [STRUCT[.MEMBER]]...");
  commands[diff] = atlas_diff;
  add_atlas_option(*diff, options);
  diff->add_option("KERNEL", options.arguments,
                   "As for show; two of them, then structs or members; none: all in the atlas")
      ->required();
  diff->add_flag("--json", options.json, "As JSON");

  CLI::App* out = app.add_subcommand("export", "A kernel for other tools");
  commands[out] = atlas_export;
  add_atlas_option(*out, options);
  out->add_option("KERNEL", options.arguments, "As for show; then structs, for json and header")->required();
  out->add_option("--as", options.form, "btf (default), json or header")
      ->check(CLI::IsMember({"btf", "json", "header"}));
  out->add_option("--output", options.output, "File; default: standard output")->type_name("PATH");

  CLI::App* verify = app.add_subcommand("verify", "Is the atlas whole, does it say what its sources say");
  commands[verify] = atlas_verify;
  add_atlas_option(*verify, options);
  verify->add_option("SOURCE", options.arguments, "Read again and compared; a package, vmlinux, image, or 'running'");
  verify->add_option("--prefer", options.prefer, "btf (default) or dwarf")->check(CLI::IsMember({"btf", "dwarf"}));
  verify->add_option("--object", options.object, "BPF object that says what is compared");

  CLI::App* lookup = app.add_subcommand("lookup", "What this machine, or another kernel, would use");
  commands[lookup] = atlas_lookup;
  add_atlas_option(*lookup, options);
  lookup->add_option("--build-id", options.build_id, "Another kernel, in hexadecimal");
  lookup->add_option("--release", options.release, "Another kernel, as uname -r gives it");
  lookup->add_option("--kernel-version", options.version, "As uname -v gives it");
  lookup->add_option("--arch", options.architecture, "As uname -m gives it");
  lookup->add_flag("--without-btf", options.without_btf, "Act as if the running kernel had no BTF");
  lookup->add_option("--output", options.output, "Write the BTF that would be used to this file")->type_name("PATH");
  lookup->add_option("--object", options.object, "BPF object that says what is wanted; default: the agent's own");
  lookup->add_flag("--json", options.json, "As JSON");
}

}  // namespace

atlas::Bytes shipped_atlas() {
  return {nightjar_atlas_begin, nightjar_atlas_end};
}

Result<atlas::Atlas> open_atlas(const AtlasOptions& options) {
  atlas::OpenOptions how;
  if (!options.key.empty()) {
    constexpr std::size_t largest_key = 65536;
    auto key = atlas::public_key(NIGHTJAR_TRY(atlas::read_whole(options.key, largest_key)));
    if (!key) return std::move(key).error().in(options.key);
    how.trusted_key = *key;
  }
  if (!options.atlas.empty()) return atlas::Atlas::open(options.atlas, how);
  return atlas::Atlas::from_bytes(shipped_atlas(), how);
}

Result<atlas::WantedSet> wanted_by(const std::string& object_path) {
  if (object_path.empty()) {
    const ProgramBlueprint blueprint = NIGHTJAR_TRY(probes_blueprint());
    return atlas::wanted_of_object(blueprint.bytes());
  }
  const ProgramBlueprint blueprint = NIGHTJAR_TRY(ProgramBlueprint::from_file(object_path));
  auto wanted = atlas::wanted_of_object(blueprint.bytes());
  if (!wanted) return std::move(wanted).error().in(object_path);
  return wanted;
}

int atlas_command(int argc, char** argv) {
  AtlasOptions options;
  std::map<CLI::App*, Run> commands;
  CLI::App app{"Layouts of kernel types, for kernels without BTF.", "nightjar atlas"};
  app.require_subcommand(1);
  add_building(app, options, commands);
  add_views(app, options, commands);
  try {
    app.parse(argc - 1, argv + 1);
  } catch (const CLI::CallForHelp& help) {
    app.exit(help, std::cout, std::cerr);
    return exit_done;
  } catch (const CLI::ParseError& error) {
    std::string what = error.what();
    for (char& c : what) c = c == '\n' ? ' ' : c;
    std::fprintf(stderr, "nightjar atlas: %s (see nightjar atlas --help)\n", what.c_str());
    return exit_usage;
  }
  for (const auto& [command, run] : commands) {
    if (command->parsed()) return run(options);
  }
  return exit_usage;
}

}  // namespace nightjar
