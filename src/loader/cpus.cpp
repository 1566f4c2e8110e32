// SPDX-License-Identifier: Apache-2.0
#include "cpus.hpp"

#include <charconv>
#include <fstream>
#include <string>

#include "text.hpp"

namespace nightjar {
namespace {

/// More than any kernel is built for; a range from a broken file should not fill the memory.
constexpr unsigned most_cpus = 1U << 16;

/// Takes a number off the front.
bool take_number(std::string_view& text, unsigned& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number >= most_cpus) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

}  // namespace

Result<std::vector<unsigned>> parse_cpu_list(std::string_view list) {
  std::string_view rest = list;
  while (rest.ends_with('\n') || rest.ends_with(' ')) rest.remove_suffix(1);
  std::vector<unsigned> cpus;
  while (!rest.empty()) {
    unsigned first = 0;
    bool sound = take_number(rest, first);
    unsigned last = first;
    if (sound && rest.starts_with('-')) {
      rest.remove_prefix(1);
      sound = take_number(rest, last) && last >= first;
    }
    if (sound && !rest.empty()) {
      sound = rest.starts_with(',') && rest.size() > 1;
      rest.remove_prefix(1);
    }
    if (!sound) return Error(errc::corrupt, "not a list of CPUs: " + text::quoted(list));
    for (unsigned cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

Result<std::vector<unsigned>> online_cpus() {
  constexpr const char* path = "/sys/devices/system/cpu/online";
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return Error(errc::system, std::string(path) + " cannot be read: is sysfs mounted?");
  return parse_cpu_list(line);
}

}  // namespace nightjar
