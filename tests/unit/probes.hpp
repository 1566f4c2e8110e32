// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

namespace nightjar {

/// The programs as they were built, from the file beside the tests.
inline std::vector<std::byte> probes() {
  std::ifstream in(std::filesystem::read_symlink("/proc/self/exe").parent_path() / PROBES_FILE, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace nightjar
