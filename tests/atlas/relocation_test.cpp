// SPDX-License-Identifier: Apache-2.0
// libbpf makes the same instructions of a layout out of the atlas as of the kernel's whole BTF.
#include <fstream>
#include <map>
#include <set>

#include <gtest/gtest.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "agent/programs.hpp"
#include "atlas/atlas.hpp"
#include "atlas/btf_writer.hpp"
#include "atlas/elf_file.hpp"
#include "atlas/files.hpp"
#include "atlas/kernel_image.hpp"
#include "atlas/reduce.hpp"
#include "kernels.hpp"

namespace nightjar::test {
namespace {

using Instructions = std::map<std::string, std::string>;

/// Every program that a kernel without BTF can run, after relocation: the others need the kernel's BTF to attach, and
/// libbpf 1.1 crashes when it has only ours. Loading goes wrong, since there are no maps, but only after that.
Instructions relocated(const ProgramBlueprint& blueprint, const std::string& btf) {
  libbpf_set_print(nullptr);
  bpf_object_open_opts options{};
  options.sz = sizeof(options);
  options.btf_custom_path = btf.c_str();
  bpf_object* object = bpf_object__open_mem(blueprint.bytes().data(), blueprint.bytes().size(), &options);
  Instructions all;
  if (object == nullptr) return all;
  bpf_map* map = nullptr;
  while ((map = bpf_object__next_map(object, map)) != nullptr) bpf_map__set_autocreate(map, false);
  bpf_program* program = nullptr;
  const auto is_typed = [](const bpf_program* one) {
    return bpf_program__type(one) == BPF_PROG_TYPE_TRACING || bpf_program__type(one) == BPF_PROG_TYPE_LSM;
  };
  while ((program = bpf_object__next_program(object, program)) != nullptr)
    bpf_program__set_autoload(program, !is_typed(program));
  bpf_object__load(object);
  program = nullptr;
  while ((program = bpf_object__next_program(object, program)) != nullptr) {
    if (is_typed(program)) continue;
    const auto* begin = reinterpret_cast<const char*>(bpf_program__insns(program));
    all[bpf_program__name(program)] = std::string(begin, bpf_program__insn_cnt(program) * sizeof(bpf_insn));
  }
  bpf_object__close(object);
  return all;
}

std::string write_temporary(const std::string& content, const char* name) {
  const std::string path = testing::TempDir() + "nightjar-" + std::to_string(getpid()) + "-" + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

/// The whole BTF of an image or a BTF file.
Result<std::string> whole_btf(const std::string& path) {
  constexpr std::size_t most = std::size_t{256} << 20U;
  std::string bytes = NIGHTJAR_TRY(atlas::read_whole(path, most));
  if (bytes.starts_with("\x9f\xeb")) return bytes;  // the magic of BTF
  const std::string elf = NIGHTJAR_TRY(atlas::unpack_image(atlas::as_bytes(bytes)));
  const auto file = NIGHTJAR_TRY(atlas::ElfFile::open(atlas::as_bytes(elf)));
  const auto* btf = file.find(".BTF");
  if (btf == nullptr) return Error(errc::not_found, "no BTF in " + path);
  return std::string(atlas::as_text(btf->data));
}

TEST(Relocation, gives_the_same_programs_from_a_pack_as_from_the_whole_btf) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: libbpf relocates when it loads";
  std::vector<std::string> sources = cached_images();
  if (access("/sys/kernel/btf/vmlinux", R_OK) == 0) sources.emplace_back("/sys/kernel/btf/vmlinux");
  if (sources.empty()) GTEST_SKIP() << "kernel lacks btf, and no kernel images are in the cache";
  const auto blueprint = probes_blueprint();
  ASSERT_TRUE(blueprint);
  const auto wanted = atlas::wanted_of_object(blueprint->bytes());
  ASSERT_TRUE(wanted);
  std::set<std::string> different_kernels;
  for (const std::string& source : sources) {
    const auto whole = whole_btf(source);
    ASSERT_TRUE(whole) << source << ": " << whole.error().what();
    // Through a file, as the agent has it.
    atlas::Atlas store;
    auto types = atlas::read_kernel(atlas::as_bytes(*whole), store.pool());
    ASSERT_TRUE(types) << source << ": " << types.error().what();
    types->kernel.release = source;
    store.add(types->kernel, types->layout);
    const auto bytes = store.pruned(wanted->all).to_bytes();
    ASSERT_TRUE(bytes);
    const auto pack = atlas::Atlas::from_bytes(atlas::as_bytes(*bytes));
    ASSERT_TRUE(pack);
    const std::string small = atlas::write_btf(pack->pool(), pack->layouts().front());
    EXPECT_LT(small.size(), 65536U);
    const std::string whole_path = write_temporary(*whole, "whole.btf");
    const std::string small_path = write_temporary(small, "small.btf");
    const Instructions expected = relocated(*blueprint, whole_path);
    const Instructions got = relocated(*blueprint, small_path);
    const auto reduced = atlas::reduce_btf(atlas::as_bytes(*whole), {}, wanted->all);
    ASSERT_TRUE(reduced) << source << ": " << reduced.error().what();
    const std::string reduced_path = write_temporary(*reduced, "reduced.btf");
    const Instructions from_reduced = relocated(*blueprint, reduced_path);
    for (const std::string& path : {whole_path, small_path, reduced_path}) unlink(path.c_str());
    EXPECT_GT(expected.size(), blueprint->programs().size() / 3);
    for (const auto& [name, instructions] : expected) {
      const auto found = got.find(name);
      ASSERT_NE(found, got.end()) << source << ": " << name;
      EXPECT_TRUE(found->second == instructions) << source << ": program " << name << " differs";
      EXPECT_TRUE(from_reduced.at(name) == instructions) << source << ": " << name << " differs with reduced BTF";
    }
    std::string all;
    for (const auto& [name, instructions] : expected) all += instructions;
    different_kernels.insert(all);
  }
  // That the comparison sees anything: other kernels give other programs.
  if (sources.size() > 2) {
    EXPECT_GT(different_kernels.size(), 1U);
  }
}

}  // namespace
}  // namespace nightjar::test
