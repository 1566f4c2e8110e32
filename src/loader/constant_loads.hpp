// SPDX-License-Identifier: Apache-2.0
// Constants in place of the loads that fetch them: .rodata lies in a page of its own, which no cache holds when an
// event comes, and the verifier knows the values but leaves the loads.
#pragma once

#include <cstddef>
#include <map>
#include <span>

#include <bpf/libbpf.h>

namespace nightjar {

/// What the .rodata sections of an object hold, by the descriptors of their maps.
using ConstantMaps = std::map<int, std::span<const std::byte>>;

/// Of an object whose maps are made and whose constants are set; valid as long as it.
ConstantMaps constant_maps(const bpf_object* object);

/// Each load of such a constant, in relocated instructions, becomes a number; the length stays. Left alone is a load
/// that is jumped to, or that comes not right behind the instruction that takes the address. Answers how many.
std::size_t put_constants(std::span<bpf_insn> instructions, const ConstantMaps& maps);

}  // namespace nightjar
