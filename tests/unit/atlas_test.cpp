// SPDX-License-Identifier: Apache-2.0
// The atlas with values alone: types, BTF both ways, what is wanted, the file, and bad input.
#include "atlas/atlas.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "agent/atlas_command.hpp"
#include "agent/programs.hpp"
#include "atlas/btf_reader.hpp"
#include "atlas/btf_writer.hpp"
#include "atlas/compare.hpp"
#include "atlas/digest.hpp"
#include "atlas/ladder.hpp"
#include "atlas/package.hpp"
#include "atlas/reduce.hpp"

namespace nightjar::atlas {
namespace {

/// A small kernel: struct task { int pid; struct { char comm[16]; }; kid_t id; enum state state; unsigned flag:3; }.
struct SmallKernel {
  TypePool pool;
  Layout layout;

  explicit SmallKernel(std::uint32_t shift = 0) {
    const TypeId integer = add(TypeKind::integer, "int", 4, [](Type& t) { t.detail = 32U << 8U | 1U; });
    const TypeId letter = add(TypeKind::integer, "char", 1, [](Type& t) { t.detail = 8U << 8U; });
    const TypeId letters = add(TypeKind::array, "", 0, [&](Type& t) {
      t.count = 16;
      t.target = letter;
    });
    const TypeId inside = add(TypeKind::structure, "", 16, [&](Type& t) { t.members = {{"comm", letters, 0, 0}}; });
    const TypeId wrapped = add(TypeKind::structure, "", 4, [&](Type& t) { t.members = {{"val", integer, 0, 0}}; });
    const TypeId alias = add(TypeKind::alias, "kid_t", 0, [&](Type& t) { t.target = wrapped; });
    const TypeId shallow = add(TypeKind::enumeration, "state", 4, [](Type&) {});
    const TypeId whole = add(TypeKind::enumeration, "state", 4, [](Type& t) {
      t.detail = 1;
      t.values = {{"RUNNING", 0}, {"DEAD", -2}};
    });
    const TypeId pointer =
        add(TypeKind::pointer, "task", 0, [](Type& t) { t.detail = static_cast<std::uint32_t>(TypeKind::structure); });
    const TypeId task = add(TypeKind::structure, "task", 64 + shift, [&](Type& t) {
      t.members = {{"pid", integer, 0, 0},
                   {"", inside, 32, 0},
                   {"id", alias, (20 + shift) * 8, 0},
                   {"state", shallow, (24 + shift) * 8, 0},
                   {"flag", integer, (28 + shift) * 8 + 5, 3},
                   {"parent", pointer, (32 + shift) * 8, 0}};
    });
    layout = {alias, whole, task};
    std::sort(layout.begin(), layout.end());
  }
  [[nodiscard]] LayoutIndex index() const { return {pool, layout}; }

  template <class F>
  TypeId add(TypeKind kind, std::string name, std::uint32_t size, F&& fill) {
    Type type;
    type.kind = kind;
    type.name = std::move(name);
    type.size = size;
    fill(type);
    return pool.add(type);
  }
};

Want want(std::string_view text) {
  auto parsed = Want::from_text(text);
  return parsed ? *parsed : Want{};
}

std::uint64_t offset_of(const LayoutIndex& index, std::string_view text) {
  const auto places = index.places(want(text));
  return places.size() == 1 ? places.front().bit_offset : UINT64_MAX;
}

Kernel small_kernel_name(std::string build_id, std::string release) {
  return {.build_id = std::move(build_id),
          .release = std::move(release),
          .version = "#1 SMP",
          .architecture = "x86_64",
          .distribution = "debian",
          .source = "test",
          .method = "btf"};
}

Atlas atlas_of_two() {
  Atlas atlas;
  const SmallKernel one;
  const SmallKernel two(8);
  const Layout a = Copier(one.pool, atlas.pool()).copy(one.layout);
  const Layout b = Copier(two.pool, atlas.pool()).copy(two.layout);
  atlas.add(small_kernel_name(std::string(20, 'a'), "1.0"), a);
  atlas.add(small_kernel_name(std::string(20, 'b'), "1.1"), b);
  atlas.add(small_kernel_name(std::string(20, 'c'), "1.2"), b);
  return atlas;
}

TEST(Atlas, finds_members_through_anonymous_structs_aliases_and_bit_fields) {
  const SmallKernel kernel;
  const LayoutIndex index = kernel.index();
  EXPECT_EQ(offset_of(index, "task.pid"), 0U);
  EXPECT_EQ(offset_of(index, "task.comm"), 32U);
  EXPECT_EQ(offset_of(index, "task.id.val"), 160U);
  EXPECT_EQ(offset_of(index, "task.flag"), 28U * 8 + 5);
  EXPECT_EQ(offset_of(index, "typedef kid_t.val"), 0U);
  EXPECT_EQ(index.value(want("enum state.DEAD")), -2);
  EXPECT_FALSE(index.has(want("task.gone")));
  EXPECT_FALSE(index.has(want("enum state.GONE")));
}

TEST(Atlas, keeps_all_when_written_as_btf_and_read_again) {
  const SmallKernel kernel;
  const std::string btf = write_btf(kernel.pool, kernel.layout);
  EXPECT_EQ(btf, write_btf(kernel.pool, kernel.layout));
  const auto view = BtfView::open(as_bytes(btf));
  ASSERT_TRUE(view) << view.error().what();
  TypePool pool;
  const auto layout = view->read(pool);
  ASSERT_TRUE(layout) << layout.error().what();
  const LayoutIndex index(pool, *layout);
  const LayoutIndex before = kernel.index();
  std::set<Want> all;
  for (const Want& one : members_of(before, TypeKind::structure, "task")) all.insert(one);
  all.insert(want("enum state.DEAD"));
  EXPECT_EQ(all.size(), 7U);
  for (const auto& difference : differences(before, index, all)) ADD_FAILURE() << difference.text();
}

TEST(Atlas, refuses_btf_cut_off_anywhere) {
  const SmallKernel kernel;
  const std::string btf = write_btf(kernel.pool, kernel.layout);
  for (std::size_t size = 0; size < btf.size(); ++size) {
    const auto view = BtfView::open(as_bytes(btf).first(size));
    TypePool pool;
    EXPECT_TRUE(!view || !view->read(pool)) << size;
  }
}

TEST(Atlas, prunes_to_what_is_wanted) {
  const SmallKernel kernel;
  TypePool pool;
  const Layout layout = prune(kernel.index(), {want("task.id.val"), want("enum state.DEAD")}, pool);
  const LayoutIndex index(pool, layout);
  EXPECT_EQ(offset_of(index, "task.id.val"), 160U);
  EXPECT_EQ(index.value(want("enum state.DEAD")), -2);
  EXPECT_FALSE(index.has(want("task.pid")));
  EXPECT_FALSE(index.has(want("enum state.RUNNING")));
  EXPECT_LT(write_btf(pool, layout).size(), write_btf(kernel.pool, kernel.layout).size());
}

TEST(Atlas, reduces_btf_to_what_is_wanted) {
  const SmallKernel kernel;
  const std::string whole = write_btf(kernel.pool, kernel.layout);
  TypePool pool;
  const std::set<Want> wanted = {want("task.id.val"), want("enum state.DEAD"), want("gone.member")};
  const Layout layout = prune(kernel.index(), wanted, pool);
  const auto reduced = reduce_btf(as_bytes(whole), {}, wanted);
  ASSERT_TRUE(reduced) << reduced.error().what();
  EXPECT_EQ(*reduced, write_btf(pool, layout)) << "not what the long way gives";
  EXPECT_FALSE(reduce_btf(as_bytes(whole).first(whole.size() / 2), {}, wanted));
}

TEST(Atlas, stores_a_layout_once_and_finds_kernels) {
  const Atlas atlas = atlas_of_two();
  EXPECT_EQ(atlas.kernels().size(), 3U);
  EXPECT_EQ(atlas.layouts().size(), 2U);
  const Kernel* by_id = atlas.find_build_id(std::string(20, 'c'));
  ASSERT_NE(by_id, nullptr);
  EXPECT_EQ(by_id->release, "1.2");
  EXPECT_EQ(atlas.find_build_id(std::string(20, 'd')), nullptr);
  EXPECT_NE(atlas.find_release("1.1", "#1 SMP", "x86_64"), nullptr);
  EXPECT_EQ(atlas.find_release("1.1", "#2 SMP", "x86_64"), nullptr);
  EXPECT_EQ(atlas.find_release("1.1", "#1 SMP", "aarch64"), nullptr);
}

TEST(Atlas, does_not_overwrite_when_sources_disagree) {
  Atlas atlas = atlas_of_two();
  const SmallKernel other(16);
  const Layout layout = Copier(other.pool, atlas.pool()).copy(other.layout);
  EXPECT_EQ(atlas.add(small_kernel_name(std::string(20, 'a'), "1.0"), layout), Added::differs);
  const LayoutIndex index(atlas.pool(), atlas.layout_of(*atlas.find_build_id(std::string(20, 'a'))));
  EXPECT_EQ(offset_of(index, "task.id.val"), 160U);
}

TEST(Atlas, has_the_same_bytes_whatever_the_order) {
  const Atlas atlas = atlas_of_two();
  const auto bytes = atlas.to_bytes();
  ASSERT_TRUE(bytes);
  Atlas reversed;
  for (auto kernel = atlas.kernels().rbegin(); kernel != atlas.kernels().rend(); ++kernel) {
    Atlas one;
    one.add(*kernel, Copier(atlas.pool(), one.pool()).copy(atlas.layout_of(*kernel)));
    EXPECT_TRUE(reversed.merge(one).empty());
  }
  EXPECT_EQ(*bytes, *reversed.to_bytes());
  const auto again = Atlas::from_bytes(as_bytes(*bytes));
  ASSERT_TRUE(again) << again.error().what();
  EXPECT_EQ(*bytes, *again->to_bytes());
  EXPECT_EQ(again->kernels(), [&] {
    auto kernels = atlas.kernels();
    return kernels;
  }());
}

TEST(Atlas, refuses_a_file_with_any_byte_changed_or_cut_off) {
  const auto bytes = atlas_of_two().to_bytes();
  ASSERT_TRUE(bytes);
  for (std::size_t at = 0; at < bytes->size(); ++at) {
    std::string changed = *bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x21);
    const bool unused = at >= 12 && at < 16;  // FileHeader::reserved
    const bool unused2 = at >= 24 && at < 32;
    EXPECT_TRUE(unused || unused2 || !Atlas::from_bytes(as_bytes(changed))) << "byte " << at;
    EXPECT_FALSE(Atlas::from_bytes(as_bytes(*bytes).first(at))) << "cut at " << at;
  }
}

// Made for this test: openssl genpkey -algorithm ed25519
constexpr const char* key_one =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIEYDTZXNbvI1wbnTHpSSnuWMoMNtDeosq8lWwb69fnKK\n-----END PRIVATE "
    "KEY-----\n";
constexpr const char* key_two =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEILRXgqGIwTWxIHVieAXCKJcyjoCM+fbJDZolX+gO/l3n\n-----END PRIVATE "
    "KEY-----\n";

TEST(Atlas, is_signed_and_refused_when_the_signature_does_not_fit) {
  const Atlas atlas = atlas_of_two();
  const auto signed_bytes = atlas.to_bytes(key_one);
  ASSERT_TRUE(signed_bytes) << signed_bytes.error().what();
  const auto opened = Atlas::from_bytes(as_bytes(*signed_bytes));
  ASSERT_TRUE(opened) << opened.error().what();
  EXPECT_EQ(opened->signature(), Signature::valid);
  OpenOptions trusted{.trusted_key = *public_key(key_one)};
  EXPECT_TRUE(Atlas::from_bytes(as_bytes(*signed_bytes), trusted));
  trusted.trusted_key = *public_key(key_two);
  auto refused = Atlas::from_bytes(as_bytes(*signed_bytes), trusted);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), errc::denied);
  refused = Atlas::from_bytes(as_bytes(*atlas.to_bytes()), trusted);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), errc::denied);
  std::string changed = *signed_bytes;
  changed.back() = static_cast<char>(changed.back() ^ 1);
  EXPECT_FALSE(Atlas::from_bytes(as_bytes(changed)));
}

TEST(Atlas, says_in_words_what_moved) {
  const Atlas atlas = atlas_of_two();
  const LayoutIndex a(atlas.pool(), atlas.layouts()[0]);
  const LayoutIndex b(atlas.pool(), atlas.layouts()[1]);
  std::string words;
  for (const auto& change : changes(a, b, {"task"})) words += change.text() + "\n";
  EXPECT_EQ(words,
            "struct task: grows by 8 bytes (64 to 72)\n"
            "task.id: moves by +8 bytes (20 to 28); so do the 3 after it, up to parent\n");
}

TEST(Wanted, comes_from_the_relocations_of_the_object) {
  const auto blueprint = probes_blueprint();
  ASSERT_TRUE(blueprint);
  const auto wanted = wanted_of_object(blueprint->bytes());
  ASSERT_TRUE(wanted) << wanted.error().what();
  // What bpf/ visibly reads.
  for (const char* text : {"task_struct.tgid", "task_struct.se.sum_exec_runtime", "mm_struct.arg_start",
                           "cred.euid.val", "inode.__i_ctime", "enum cgroup_subsys_id.pids_cgrp_id", "struct upid"})
    EXPECT_TRUE(wanted->all.contains(want(text))) << text;
  EXPECT_TRUE(wanted->by_function.contains("process_exec__raw_tp"));
  for (const Want& one : wanted->all) EXPECT_EQ(want(one.text()), one) << one.text();
  const auto in_all = wanted_of_object(blueprint->bytes(), WantedDetail::in_all);
  ASSERT_TRUE(in_all);
  EXPECT_EQ(in_all->all, wanted->all);
  EXPECT_EQ(in_all->only_asked, wanted->only_asked);
  EXPECT_EQ(in_all->last_resort, wanted->last_resort);
  EXPECT_TRUE(in_all->by_function.empty());
}

TEST(Wanted, is_all_in_the_shipped_pack) {
  const auto pack = Atlas::from_bytes(shipped_atlas());
  ASSERT_TRUE(pack) << pack.error().what();
  EXPECT_LT(shipped_atlas().size(), 1'000'000U);
  EXPECT_GT(pack->kernels().size(), 100U);
  const auto wanted = wanted_by({});
  ASSERT_TRUE(wanted);
  std::string missing;
  for (const Want& one : wanted->all) {
    if (!pack->wanted().contains(one) && !wanted->last_resort.contains(one)) missing += " " + one.text();
  }
  EXPECT_EQ(missing, "") << "the BPF programs want more than data/debian.atlas keeps: run tools/atlas-pack";
}

TEST(Ladder, names_what_is_missing) {
  const Atlas atlas = atlas_of_two();
  WantedSet wanted;
  wanted.all = {want("task.pid")};
  LookupRequest request;
  request.wanted = &wanted;
  request.kernel = {std::string(20, 'z'), "9.9", "#9", "x86_64"};
  request.use_kernel_btf = false;
  auto found = find_types(atlas, request);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), errc::unsupported);
  EXPECT_NE(found.error().what().find("9.9"), std::string::npos);
  request.kernel.build_id = std::string(20, 'b');
  found = find_types(atlas, request);
  ASSERT_TRUE(found) << found.error().what();
  EXPECT_EQ(found->rung, Rung::build_id);
  request.kernel = {{}, "1.0", "#1 SMP", "x86_64"};
  found = find_types(atlas, request);
  ASSERT_TRUE(found) << found.error().what();
  EXPECT_EQ(found->rung, Rung::release);
  const Atlas pack = atlas.pruned({want("task.id.val")});
  found = find_types(pack, request);
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().what().find("task.pid"), std::string::npos) << "an atlas for another object";
}

TEST(Package, takes_kernels_from_an_index) {
  const auto found = kernel_packages(
      "Package: linux-image-6.1.0-1-amd64\nVersion: 6.1.1-1\nArchitecture: amd64\nFilename: pool/a.deb\nSize: "
      "70000000\n\n"
      "Package: linux-image-amd64\nVersion: 6.1.1-1\nArchitecture: amd64\nFilename: pool/b.deb\nSize: 1500\n\n"
      "Package: linux-image-6.1.0-1-amd64-unsigned\nVersion: 6.1.1-1\nArchitecture: amd64\nFilename: pool/c.deb\nSize: "
      "70000000\n\n"
      "Package: linux-image-6.1.0-1-amd64-dbg\nVersion: 6.1.1-1\nArchitecture: amd64\nFilename: pool/d.deb\nSize: "
      "900000000\n",
      false);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found.front().id(), "linux-image-6.1.0-1-amd64_6.1.1-1_amd64");
  EXPECT_EQ(found.front().path, "pool/a.deb");
}

TEST(Package, knows_a_kernel_by_its_path) {
  for (const char* path : {"boot/vmlinuz-6.1.0-1-amd64", "usr/lib/modules/7.3.4/vmlinuz",
                           "usr/lib/debug/boot/vmlinux-6.1.0-1-amd64", "usr/lib/debug/lib/modules/6.1.0/vmlinux"})
    EXPECT_TRUE(is_kernel_path(path)) << path;
  for (const char* path :
       {"boot/config-6.1.0-1-amd64", "usr/share/doc/vmlinuz", "lib/modules/6.1.0/kernel/fs/vmlinuz.ko"})
    EXPECT_FALSE(is_kernel_path(path)) << path;
}

}  // namespace
}  // namespace nightjar::atlas
