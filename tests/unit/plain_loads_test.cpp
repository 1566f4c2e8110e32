// SPDX-License-Identifier: Apache-2.0
#include "agent/plain_loads.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include <elf.h>
#include <gtest/gtest.h>

#include <linux/bpf.h>

#include "agent/programs.hpp"
#include "atlas/elf_file.hpp"
#include "probes.hpp"
#include "wire/base.h"

namespace nightjar {
namespace {

constexpr PlainLoads ids{.function = 7919, .eight_bytes = 104729};

std::vector<bpf_insn> instructions_of(std::span<const std::byte> object) {
  std::vector<bpf_insn> all;
  const auto elf = atlas::ElfFile::open(object);
  if (!elf) return all;
  for (const auto& section : elf->sections()) {
    if ((section.flags & SHF_EXECINSTR) == 0) continue;
    const std::size_t count = section.data.size() / sizeof(bpf_insn);
    all.resize(all.size() + count);
    std::memcpy(all.data() + all.size() - count, section.data.data(), count * sizeof(bpf_insn));
  }
  return all;
}

std::size_t marks_in(const std::vector<bpf_insn>& code) {
  return static_cast<std::size_t>(std::ranges::count_if(code, [](const bpf_insn& one) {
    return one.code == (BPF_ALU64 | BPF_MOV | BPF_K) && one.imm == WIRE_READ_STEP;
  }));
}

std::size_t casts_in(const std::vector<bpf_insn>& code) {
  return static_cast<std::size_t>(std::ranges::count_if(code, [](const bpf_insn& one) {
    return one.code == (BPF_JMP | BPF_CALL) && one.src_reg == BPF_PSEUDO_KFUNC_CALL && one.imm == int{ids.function};
  }));
}

TEST(PlainLoads, every_step_of_the_programs_is_known) {
  auto object = probes();
  const auto before = instructions_of(object);
  ASSERT_GT(marks_in(before), 300U);
  const std::size_t steps = read_by_plain_loads(object, ids);
  const auto after = instructions_of(object);
  EXPECT_EQ(steps, marks_in(before));
  EXPECT_EQ(marks_in(after), 0U);
  EXPECT_EQ(casts_in(after), steps);
  ASSERT_EQ(after.size(), before.size());
  std::size_t differ = 0;
  for (std::size_t i = 0; i < before.size(); ++i) differ += std::memcmp(&before[i], &after[i], sizeof(bpf_insn)) != 0;
  EXPECT_EQ(differ, 4 * steps);
  EXPECT_TRUE(ProgramBlueprint::from_bytes(object, "after"));
  EXPECT_EQ(read_by_plain_loads(object, ids), 0U);
}

TEST(PlainLoads, what_is_no_object_is_left_as_it_is) {
  const auto whole = probes();
  for (std::size_t size = 0; size < whole.size(); size += 65537) {
    std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const auto before = cut;
    EXPECT_EQ(read_by_plain_loads(cut, ids), 0U);
    EXPECT_EQ(cut, before);
  }
}

}  // namespace
}  // namespace nightjar
