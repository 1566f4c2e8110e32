// SPDX-License-Identifier: Apache-2.0
// The BTF of a kernel cut down to what programs want: some 10 KB that libbpf reads in less than a millisecond, where
// the whole takes it some 40 ms for every object that is opened.
#pragma once

#include <set>
#include <span>
#include <string>

#include "atlas/wanted.hpp"

namespace nightjar::atlas {

/// `whole`: a kernel's BTF; `modules`: BTF of modules of the same kernel. CO-RE resolves the same to the same against
/// the result. What programs attach to (functions, tracepoints) is not in it: libbpf asks the kernel's own for that.
/// Fails with corrupt.
Result<std::string> reduce_btf(Bytes whole, std::span<const Bytes> modules, const std::set<Want>& wanted);

/// Of the running kernel and of the modules that are loaded. Fails with unsupported (no readable BTF), corrupt.
Result<std::string> reduced_kernel_btf(const std::set<Want>& wanted, const std::string& folder = "/sys/kernel/btf");

}  // namespace nightjar::atlas
