// SPDX-License-Identifier: Apache-2.0
#include "agent/proved_programs.hpp"

#include <set>
#include <string_view>

namespace nightjar {
namespace {

/// Entry and exit of one thing have one stem.
std::string_view common_stem(std::string_view program) {
  std::string_view stem = stem_of(program);
  if (stem.ends_with("_enter")) stem.remove_suffix(6);
  return stem;
}

}  // namespace

Result<ProgramVersion> proved_part(const ProgramVersion& version, const LeftOut& left_out) {
  std::set<std::string, std::less<>> stems;
  for (const Program& program : version.programs) {
    const auto found = left_out.find(program.name());
    if (found == left_out.end()) continue;
    if (!program.is_optional())
      return Error(errc::unsupported, version.name + ": " + found->first + ": " + found->second);
    if (!only_adds(program.name())) stems.emplace(common_stem(program.name()));
  }
  ProgramVersion result = version;
  std::erase_if(result.programs, [&](const Program& program) {
    return left_out.contains(program.name()) || (program.is_optional() && stems.contains(common_stem(program.name())));
  });
  if (result.programs.empty() && !version.programs.empty())
    return Error(errc::unsupported, version.name + ": " + left_out.begin()->first + ": " + left_out.begin()->second);
  return result;
}

std::string left_out_because(const ProgramVersion& version, const EventSourceRow& row, const LeftOut& left_out,
                             bool adds) {
  for (const Program& program : version.programs) {
    const auto found = left_out.find(program.name());
    if (found == left_out.end() || only_adds(program.name()) != adds) continue;
    if (makes(program.name(), row) || common_stem(program.name()) == row.program_stem) return found->second;
  }
  return {};
}

}  // namespace nightjar
