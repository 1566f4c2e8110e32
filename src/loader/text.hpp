// SPDX-License-Identifier: Apache-2.0
// Small helpers for messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nightjar::text {

/// The kernel's own ENOTSUPP, which it lets slip out to user space and libc does not know.
inline constexpr int kernel_enotsupp = 524;

/// The candidate that `name` was probably meant to be; empty when none is near.
std::string_view nearest(std::string_view name, const std::vector<std::string_view>& candidates);

/// "; did you mean 'NEAREST'?", or nothing.
std::string did_you_mean(std::string_view name, const std::vector<std::string_view>& candidates);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// 'name'
std::string quoted(std::string_view name);

/// What errno `sys` means, without strerror's shared buffer. Knows ENOTSUPP (524), which libc does not.
std::string errno_text(int sys);

}  // namespace nightjar::text
