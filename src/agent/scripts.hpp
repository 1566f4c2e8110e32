// SPDX-License-Identifier: Apache-2.0
// The #! chain of an exec.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/json.hpp"

namespace nightjar {

struct Script {
  std::string path;  ///< bytes
  std::uint64_t inode = 0;
  std::uint32_t device = 0;  ///< major << 20 | minor
};

/// [{"path":...,"inode":...,"device":...},...]
std::string scripts_json(const std::vector<Script>& scripts, std::vector<json::Named>& raw);

struct ShebangLine {
  std::string interpreter, argument;  ///< empty: none
};
/// What the kernel's binfmt_script reads from the first bytes of a file (at most 256); no interpreter: not a script.
ShebangLine parse_shebang(std::string_view start);

/// Where the process's files are: how a path of its is opened from here.
struct FileView {
  int root_fd = -1;       ///< root directory of a process in the same mount namespace
  std::string directory;  ///< its working directory
  std::uint32_t pid = 0;  ///< for files that it names by descriptor (/dev/fd/N), while it lives
};

/// For kernels where no hook sees the intermediate scripts (tier tracepoint): works the chain out afterwards. Starts
/// from the file that the caller named, follows the #! lines, and believes the result only if it explains the argv that
/// the kernel built, word for word. Empty when it does not, or when a file is gone.
std::vector<Script> derive_scripts(const FileView& view, std::string_view filename, std::string_view interpreter,
                                   const std::vector<std::string_view>& argv);

}  // namespace nightjar
