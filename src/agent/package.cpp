// SPDX-License-Identifier: Apache-2.0
#include "agent/package.hpp"

#include <cstdint>

#include <sys/stat.h>

namespace nightjar {

std::string stamp_of(const std::vector<std::string>& files) {
  std::string stamp;
  for (const std::string& file : files) {
    struct stat status{};
    if (stat(file.c_str(), &status) != 0) continue;
    for (const auto number :
         {static_cast<std::int64_t>(status.st_ino), static_cast<std::int64_t>(status.st_size),
          static_cast<std::int64_t>(status.st_mtim.tv_sec), static_cast<std::int64_t>(status.st_mtim.tv_nsec)})
      stamp += std::to_string(number) + ' ';
    stamp += '/';
  }
  return stamp;
}

}  // namespace nightjar
