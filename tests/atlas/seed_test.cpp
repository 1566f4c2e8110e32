// SPDX-License-Identifier: Apache-2.0
// Programs written for a map of offsets, in place of CO-RE.
#include <gtest/gtest.h>
#include <unistd.h>

#include "atlas/files.hpp"
#include "atlas/kernel_image.hpp"
#include "atlas/running.hpp"
#include "atlas/seed_offsets.hpp"
#include "nightjar/program_group.hpp"

namespace nightjar::test {
namespace {

TEST(SeedOffsets, has_the_keys_of_the_scheme) {
  EXPECT_EQ(atlas::seed_key("loaded"), 0xec6642829d632573);
  EXPECT_EQ(atlas::seed_key("task_struct->pid"), 0xc713ffcffcd1cc3c);
}

struct Answer {
  std::uint32_t tgid, parent;
};

TEST(SeedOffsets, let_a_program_read_pids_and_parents) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to load programs";
  if (access(atlas::kernel_btf_path, R_OK) != 0) GTEST_SKIP() << "kernel lacks btf";
  const auto bytes = atlas::read_whole(atlas::kernel_btf_path, std::size_t{256} << 20U);
  ASSERT_TRUE(bytes);
  atlas::TypePool pool;
  const auto types = atlas::read_kernel(atlas::as_bytes(*bytes), pool);
  ASSERT_TRUE(types) << types.error().what();
  const atlas::LayoutIndex index(pool, types->layout);

  char self[4096] = {};
  ASSERT_GT(readlink("/proc/self/exe", self, sizeof self - 1), 0);
  const std::string folder(self, std::string_view(self).rfind('/'));
  const auto blueprint = ProgramBlueprint::from_file(folder + "/seed_style.bpf.o");
  ASSERT_TRUE(blueprint) << blueprint.error().what();
  ProgramVersion version("seed", {Program("seed_style")});
  version.set("watched", static_cast<std::uint32_t>(getpid()));
  version.set("key_loaded", atlas::seed_key("loaded"));
  version.set("key_tgid", atlas::seed_key("task_struct->tgid"));
  version.set("key_real_parent", atlas::seed_key("task_struct->real_parent"));
  auto group = ProgramGroup().load(*blueprint, std::span(&version, 1));
  ASSERT_TRUE(group) << to_string(group.error());
  const auto answers = group->map("answers");
  ASSERT_TRUE(answers);
  const auto key = static_cast<std::uint32_t>(getpid());
  (void)getppid();
  EXPECT_FALSE((answers->get<std::uint32_t, Answer>(key))) << "it spoke before the gate was open";

  const auto offsets = group->map("offsets");
  ASSERT_TRUE(offsets);
  const auto absent = atlas::fill_seed_offsets(
      *offsets, index, {"task_struct->tgid", "task_struct->real_parent", "inode->fs"}, 0x061200);
  ASSERT_TRUE(absent) << absent.error().what();
  EXPECT_EQ(*absent, std::vector<std::string>{"inode->fs"});
  const auto parent = static_cast<std::uint32_t>(getppid());
  const auto answer = answers->get<std::uint32_t, Answer>(key);
  ASSERT_TRUE(answer) << answer.error().what();
  EXPECT_EQ(answer->tgid, key);
  EXPECT_EQ(answer->parent, parent);
}

}  // namespace
}  // namespace nightjar::test
