// SPDX-License-Identifier: Apache-2.0
#include "agent/plain_loads.hpp"

#include <array>
#include <cstring>

#include <elf.h>

#include <linux/bpf.h>

#include "atlas/elf_file.hpp"
#include "wire/base.h"

namespace nightjar {
namespace {

/// mark, size, call, load. Before it, r1 is where to put the value, r3 where to read it.
using Step = std::array<bpf_insn, 4>;

constexpr std::uint8_t move_number = BPF_ALU64 | BPF_MOV | BPF_K;
constexpr std::uint8_t move_register = BPF_ALU64 | BPF_MOV | BPF_X;
constexpr std::uint8_t call = BPF_JMP | BPF_CALL;

bool is_step(const Step& step) {
  const auto& [mark, size, helper, load] = step;
  return mark.code == move_number && mark.imm == WIRE_READ_STEP && size.code == move_number &&
         size.dst_reg == BPF_REG_2 && helper.code == call && helper.src_reg == 0 &&
         helper.imm == BPF_FUNC_probe_read_kernel && BPF_CLASS(load.code) == BPF_LDX && load.src_reg == BPF_REG_10;
}

}  // namespace

std::size_t read_by_plain_loads(std::span<std::byte> object, const PlainLoads& plain_loads) {
  std::size_t steps = 0;
  const auto elf = atlas::ElfFile::open(object);
  if (!elf) return steps;
  for (const auto& section : elf->sections()) {
    if ((section.flags & SHF_EXECINSTR) == 0) continue;
    for (std::size_t at = 0; at + sizeof(Step) <= section.data.size(); at += sizeof(bpf_insn)) {
      Step step;
      std::memcpy(&step, section.data.data() + at, sizeof step);
      if (!is_step(step)) continue;
      auto& [mark, size, function, load] = step;
      mark = {.code = move_register, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_3, .off = 0, .imm = 0};
      size.imm = static_cast<std::int32_t>(plain_loads.eight_bytes);
      function.src_reg = BPF_PSEUDO_KFUNC_CALL;
      function.imm = static_cast<std::int32_t>(plain_loads.function);
      load.src_reg = BPF_REG_0;
      load.off = 0;
      std::memcpy(object.data() + section.offset + at, &step, sizeof step);
      ++steps;
    }
  }
  return steps;
}

}  // namespace nightjar
