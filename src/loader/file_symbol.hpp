// SPDX-License-Identifier: Apache-2.0
// Functions of programs and libraries, for uprobes.
#pragma once

#include <cstdint>
#include <string>

#include "nightjar/result.hpp"

namespace nightjar {

/// "PATH:function", "PATH:function+0x1f", "PATH:0x1234" or, for USDT, "PATH:provider:name".
struct FilePoint {
  std::string path;      ///< absolute
  std::string function;  ///< or "provider:name"; empty when only an offset was given
  std::uint64_t offset = 0;
};

/// Reads an attach point and finds its file: a path as it is, a name without '/' in the linker's folders (libraries) or
/// $PATH. Fails with invalid (its form), or unsupported and ENOENT: no such file, so that the next point is tried.
Result<FilePoint> parse_file_point(const std::string& point);

/// Where function `name` begins in an ELF file, as an offset in the file. Fails with unsupported and ENOENT when the
/// file has no such function (the nearest is named), corrupt, or as open(2).
Result<std::uint64_t> function_offset(const std::string& path, const std::string& name);

}  // namespace nightjar
