// SPDX-License-Identifier: Apache-2.0
// Instructions of the smallest programs, which the loader makes by itself.
#pragma once

#include <cstdint>

#include <linux/bpf.h>

namespace nightjar {

constexpr bpf_insn instruction(unsigned code, unsigned to, unsigned from, int offset, int value) {
  bpf_insn made{};
  made.code = static_cast<std::uint8_t>(code);
  made.dst_reg = to & 0xFU;
  made.src_reg = from & 0xFU;
  made.off = static_cast<std::int16_t>(offset);
  made.imm = value;
  return made;
}
constexpr bpf_insn set_zero(unsigned to) {
  return instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, 0);
}
inline constexpr bpf_insn leave = instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);

}  // namespace nightjar
