// SPDX-License-Identifier: Apache-2.0
#include "kernels.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace nightjar::test {

std::vector<std::string> cached_images() {
  namespace fs = std::filesystem;
  const auto from = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  fs::path cache = from("NIGHTJAR_CACHE");
  if (cache.empty()) {
    const std::string base = from("XDG_CACHE_HOME");
    cache = (base.empty() ? fs::path(from("HOME")) / ".cache" : fs::path(base)) / "nightjar";
  }
  std::vector<std::string> images;
  std::error_code problem;
  for (const auto& entry : fs::directory_iterator(cache / "kernels", problem)) {
    if (fs::exists(entry.path() / "vmlinuz", problem)) images.push_back(entry.path() / "vmlinuz");
  }
  std::sort(images.begin(), images.end());
  // One kernel can stand there twice, with other modules (tests/vm/kernels.ini).
  std::set<std::string> seen;
  std::erase_if(images, [&](const std::string& image) {
    std::ifstream in(image, std::ios::binary);
    return !seen.insert({std::istreambuf_iterator<char>(in), {}}).second;
  });
  return images;
}

}  // namespace nightjar::test
