// SPDX-License-Identifier: Apache-2.0
// Files of a BPF file system.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar::pins {

/// A descriptor of what is pinned at `path`, close-on-exec. Fails with not_found or denied.
Result<UniqueFd> open(const std::string& path);

/// Pins a map, program or link. Fails with invalid (not in a BPF file system), busy (something is there), denied, or
/// unsupported (this kernel cannot pin such a thing).
Result<> pin(int fd, const std::string& path);

/// Makes the directory when it is absent. Fails with invalid when it is not in a BPF file system.
Result<> make_directory(const std::string& path);

/// Names of what is in a directory; empty when the directory is absent.
Result<std::vector<std::string>> list(const std::string& directory);

/// A BPF file system has no names with '/' or '.' in them: these, '%' and '~' become %XX, and the parts are joined with
/// '~'.
std::string join(const std::vector<std::string>& parts);
std::vector<std::string> split(std::string_view name);

}  // namespace nightjar::pins
