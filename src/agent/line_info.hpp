// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace nightjar {

/// A BPF object without what maps its instructions to lines of source (.BTF.ext), which only the verifier's log uses:
/// of our programs that is two of five megabytes, and libbpf makes two more copies of it while it loads them. What is
/// no such object comes back as it was.
std::vector<std::byte> without_line_info(std::span<const std::byte> elf);

}  // namespace nightjar
