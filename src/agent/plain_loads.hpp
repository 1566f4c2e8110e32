// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "nightjar/features.hpp"

namespace nightjar {

/// Makes each step by which our programs read kernel memory (READ_STEP, bpf/read.bpf.h: a call of bpf_probe_read_kernel
/// and a load from the stack) a call of bpf_rdonly_cast, of which the kernel makes a move between registers, and a load
/// from there. libbpf could resolve the function, too, but from the kernel's own BTF only; it is given types from
/// elsewhere. Returns the number of steps; 0 for what is no BPF object. The object is as valid as before.
std::size_t read_by_plain_loads(std::span<std::byte> object, const PlainLoads& plain_loads);

}  // namespace nightjar
