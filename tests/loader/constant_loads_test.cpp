// SPDX-License-Identifier: Apache-2.0
#include "constant_loads.hpp"

#include <array>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <linux/bpf.h>

#include "instructions.hpp"

namespace nightjar {
namespace {

constexpr int rodata = 7, other_map = 11;
constexpr std::array<std::uint8_t, 16> values{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0xf0, 0xff, 0xff, 0xff};

constexpr std::uint8_t load_1 = BPF_LDX | BPF_MEM | BPF_B, load_2 = BPF_LDX | BPF_MEM | BPF_H,
                       load_4 = BPF_LDX | BPF_MEM | BPF_W, load_8 = BPF_LDX | BPF_MEM | BPF_DW;

struct Code : std::vector<bpf_insn> {
  Code& take_address(unsigned to, int map, int offset, unsigned kind = BPF_PSEUDO_MAP_VALUE) {
    push_back(instruction(BPF_LD | BPF_IMM | BPF_DW, to, kind, 0, map));
    push_back(instruction(0, 0, 0, 0, offset));
    return *this;
  }
  Code& then(unsigned code, unsigned to, unsigned from, int offset, int value) {
    push_back(instruction(code, to, from, offset, value));
    return *this;
  }
  std::size_t put() { return put_constants(*this, {{rodata, std::as_bytes(std::span(values))}}); }
};

void expect_same(const bpf_insn& one, const bpf_insn& other) {
  EXPECT_EQ(one.code, other.code);
  EXPECT_EQ(one.dst_reg, other.dst_reg);
  EXPECT_EQ(one.src_reg, other.src_reg);
  EXPECT_EQ(one.off, other.off);
  EXPECT_EQ(one.imm, other.imm);
}

void expect_left_alone(Code code) {
  const Code before = code;
  EXPECT_EQ(code.put(), 0U);
  for (std::size_t at = 0; at < code.size(); ++at) expect_same(code[at], before[at]);
}

TEST(ConstantLoads, ASmallValueIsOneInstruction) {
  const std::pair<std::uint8_t, int> loads[] = {{load_1, 0x33}, {load_2, 0x4433}, {load_4, 0x66554433}};
  for (const auto& [load, value] : loads) {
    Code code;
    code.take_address(1, rodata, 1).then(load, 1, 1, 1, 0);
    EXPECT_EQ(code.put(), 1U);
    expect_same(code[0], no_operation);
    expect_same(code[1], no_operation);
    expect_same(code[2], instruction(BPF_ALU | BPF_MOV | BPF_K, 1, 0, 0, value));
  }
}

/// A move of 32 bits clears the upper half of the register, as the load did.
TEST(ConstantLoads, TheUpperHalfStaysZero) {
  Code code;
  code.take_address(3, rodata, 8).then(load_8, 3, 3, 0, 0);
  EXPECT_EQ(code.put(), 1U);
  expect_same(code[2], instruction(BPF_ALU | BPF_MOV | BPF_K, 3, 0, 0, -16));
}

TEST(ConstantLoads, ALargeValueTakesThePlaceOfTheAddress) {
  Code code;
  code.take_address(2, rodata, 0).then(load_8, 2, 2, 0, 0);
  EXPECT_EQ(code.put(), 1U);
  expect_same(code[0], instruction(BPF_LD | BPF_IMM | BPF_DW, 2, 0, 0, 0x44332211));
  EXPECT_EQ(code[1].imm, static_cast<std::int32_t>(0x88776655));
  expect_same(code[2], no_operation);
}

TEST(ConstantLoads, AnAddressThatIsUsedAgainStays) {
  Code code;
  code.take_address(2, rodata, 0).then(load_4, 5, 2, 0, 0).then(load_4, 6, 2, 4, 0);
  const Code before = code;
  EXPECT_EQ(code.put(), 1U);
  expect_same(code[0], before[0]);
  expect_same(code[1], before[1]);
  expect_same(code[2], instruction(BPF_ALU | BPF_MOV | BPF_K, 5, 0, 0, 0x44332211));
  expect_same(code[3], before[3]);
}

TEST(ConstantLoads, WhatIsNoSuchLoadIsLeftAlone) {
  expect_left_alone(Code().take_address(2, rodata, 0).then(load_8, 5, 2, 0, 0));  // no room for the value
  expect_left_alone(Code().take_address(2, other_map, 0).then(load_4, 2, 2, 0, 0));
  expect_left_alone(Code().take_address(2, rodata, 0, BPF_PSEUDO_MAP_FD).then(load_4, 2, 2, 0, 0));
  expect_left_alone(Code().take_address(2, rodata, 0).then(load_4, 2, 3, 0, 0));
  expect_left_alone(Code().take_address(2, rodata, 0).then(BPF_STX | BPF_MEM | BPF_W, 2, 2, 0, 0));
  for (const int outside : {13, 16, 17, -1})
    expect_left_alone(Code().take_address(2, rodata, outside).then(load_4, 2, 2, 0, 0));
  expect_left_alone(Code().take_address(2, rodata, 0));
}

TEST(ConstantLoads, ALoadThatIsJumpedToIsLeftAlone) {
  const bpf_insn jumps[] = {instruction(BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 2, 0),
                            instruction(BPF_JMP32 | BPF_JEQ | BPF_K, 4, 0, 2, 0),
                            instruction(BPF_JMP | BPF_JA, 0, 0, 2, 0), instruction(BPF_JMP32 | BPF_JA, 0, 0, 0, 2),
                            instruction(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 2)};
  for (const bpf_insn& jump : jumps) {
    Code code;
    code.push_back(jump);
    expect_left_alone(code.take_address(2, rodata, 0).then(load_4, 2, 2, 0, 0));
  }
  Code helper;  // number 2 is no place
  helper.push_back(instruction(BPF_JMP | BPF_CALL, 0, 0, 0, 2));
  helper.take_address(2, rodata, 0).then(load_4, 2, 2, 0, 0);
  EXPECT_EQ(helper.put(), 1U);
}

}  // namespace
}  // namespace nightjar
