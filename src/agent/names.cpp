// SPDX-License-Identifier: Apache-2.0
#include "agent/names.hpp"

#include <charconv>
#include <sstream>

#include <sys/stat.h>

#include "agent/host.hpp"
#include "wire/json.hpp"

namespace nightjar {
namespace {

constexpr std::size_t most_names = 65536;

std::string version_of(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return {};
  std::ostringstream version;
  version << status.st_ino << ' ' << status.st_size << ' ' << status.st_ctim.tv_sec << ' ' << status.st_ctim.tv_nsec;
  return version.str();
}

}  // namespace

void Names::refresh() {
  users_.refresh();
  groups_.refresh();
}

void Names::Table::refresh() {
  // Before reading: what changes meanwhile is read again the next time.
  std::string now = version_of(path);
  if (now == version) return;
  version = std::move(now);
  names.clear();
  std::istringstream lines(read_small_file(path));
  // NAME:PASSWORD:ID:...
  for (std::string line; names.size() < most_names && std::getline(lines, line);) {
    const auto name_end = line.find(':');
    const auto id_start = name_end == std::string::npos ? name_end : line.find(':', name_end + 1);
    if (id_start == std::string::npos || name_end == 0) continue;
    std::uint32_t id = 0;
    const char* end = line.data() + line.size();
    const auto parsed = std::from_chars(line.data() + id_start + 1, end, id);
    if (parsed.ec != std::errc() || (parsed.ptr != end && *parsed.ptr != ':')) continue;
    names.try_emplace(id, json::quoted(std::string_view(line).substr(0, name_end)));  // the first line of an id counts
  }
}

}  // namespace nightjar
