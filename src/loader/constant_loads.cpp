// SPDX-License-Identifier: Apache-2.0
#include "constant_loads.hpp"

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include <linux/bpf.h>

#include "instructions.hpp"

namespace nightjar {
namespace {

// An address takes two instructions (Documentation/bpf/standardization/instruction-set.rst, "64-bit immediate
// instructions"); of that of a map's value the first has the descriptor, the second the offset.
constexpr std::uint8_t take_address = BPF_LD | BPF_IMM | BPF_DW;
constexpr std::size_t address_length = 2;

std::vector<bool> jump_targets(std::span<const bpf_insn> instructions) {
  std::vector<bool> targets(instructions.size());
  for (std::size_t at = 0; at < instructions.size(); ++at) {
    const bpf_insn& one = instructions[at];
    const auto kind = BPF_OP(one.code);
    if ((BPF_CLASS(one.code) != BPF_JMP && BPF_CLASS(one.code) != BPF_JMP32) || kind == BPF_EXIT) continue;
    const bool is_far = kind == BPF_CALL || (BPF_CLASS(one.code) == BPF_JMP32 && kind == BPF_JA);
    if (kind == BPF_CALL && one.src_reg != BPF_PSEUDO_CALL) continue;
    const auto to = static_cast<std::int64_t>(at) + 1 + (is_far ? one.imm : one.off);
    if (to >= 0 && to < std::int64_t(targets.size())) targets[static_cast<std::size_t>(to)] = true;
  }
  return targets;
}

std::size_t bytes_of(std::uint8_t load) {
  switch (BPF_SIZE(load)) {
    case BPF_B:
      return 1;
    case BPF_H:
      return 2;
    case BPF_W:
      return 4;
    default:
      return 8;
  }
}

std::optional<std::uint64_t> number_at(std::span<const std::byte> constants, std::int64_t offset, std::size_t size) {
  if (offset < 0 || std::size_t(offset) > constants.size() || size > constants.size() - std::size_t(offset)) return {};
  std::uint64_t number = 0;
  static_assert(std::endian::native == std::endian::little);
  std::memcpy(&number, constants.data() + offset, size);
  return number;
}

}  // namespace

ConstantMaps constant_maps(const bpf_object* object) {
  ConstantMaps maps;
  const bpf_map* map = nullptr;
  bpf_object__for_each_map (map, object) {
    if (!::bpf_map__is_internal(map) || !std::string_view(::bpf_map__name(map)).ends_with(".rodata")) continue;
    std::size_t size = 0;
    const auto* bytes = static_cast<const std::byte*>(::bpf_map__initial_value(const_cast<bpf_map*>(map), &size));
    if (bytes != nullptr) maps.insert({::bpf_map__fd(map), {bytes, size}});
  }
  return maps;
}

std::size_t put_constants(std::span<bpf_insn> instructions, const ConstantMaps& maps) {
  const auto targets = jump_targets(instructions);
  std::size_t put = 0;
  for (std::size_t at = 0; at + address_length < instructions.size(); ++at) {
    bpf_insn& address = instructions[at];
    if (address.code != take_address) continue;
    bpf_insn& rest = instructions[at + 1];
    bpf_insn& load = instructions[at + address_length];
    ++at;
    if (address.src_reg != BPF_PSEUDO_MAP_VALUE || BPF_CLASS(load.code) != BPF_LDX || BPF_MODE(load.code) != BPF_MEM ||
        load.src_reg != address.dst_reg || targets[at + 1])
      continue;
    const auto found = maps.find(address.imm);
    if (found == maps.end()) continue;
    const auto number = number_at(found->second, std::int64_t{rest.imm} + load.off, bytes_of(load.code));
    if (!number) continue;
    const auto low = static_cast<std::int32_t>(*number);
    if (*number <= std::numeric_limits<std::uint32_t>::max()) {
      load = instruction(BPF_ALU | BPF_MOV | BPF_K, load.dst_reg, 0, 0, low);
      if (load.dst_reg == address.dst_reg) address = rest = no_operation;
    } else if (load.dst_reg == address.dst_reg) {
      address.src_reg = 0;
      address.imm = low;
      rest.imm = static_cast<std::int32_t>(*number >> 32);
      load = no_operation;
    } else {
      continue;
    }
    ++put;
  }
  return put;
}

}  // namespace nightjar
