// SPDX-License-Identifier: Apache-2.0
// Opening what a root process writes to, so that nobody else decides where that is.
#pragma once

#include <string>

#include <sys/stat.h>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {

/// A directory that was reached through no symbolic link that others control, and a name in it.
struct SafePlace {
  UniqueFd directory;
  std::string name;
  std::string path;  ///< as given, for messages
};

/// Walks the directories of `path`. A link on the way is followed when root or this user made it, in a directory where
/// others cannot replace it. Fails with denied otherwise.
Result<SafePlace> find_safe_place(const std::string& path);

/// Opens NAME in the place with openat. An existing file of another user's in a directory that others can write, or
/// with a second hard link of another user's, is refused.
Result<UniqueFd> open_safely(const SafePlace& place, int flags, mode_t mode);

/// A file of settings or secrets: refused when another user than root and this one owns it, or can write it.
Result<std::string> read_trusted_file(const std::string& path);

}  // namespace nightjar
