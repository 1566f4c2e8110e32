// SPDX-License-Identifier: Apache-2.0
#include "atlas/running.hpp"

#include <sys/utsname.h>

#include "atlas/elf_file.hpp"
#include "atlas/files.hpp"

namespace nightjar::atlas {

RunningKernel RunningKernel::read() {
  RunningKernel kernel;
  utsname names{};
  ::uname(&names);
  kernel.release = static_cast<const char*>(names.release);
  kernel.version = static_cast<const char*>(names.version);
  kernel.architecture = static_cast<const char*>(names.machine);
  constexpr std::size_t most = std::size_t{1} << 20U;
  if (const auto notes = read_whole("/sys/kernel/notes", most)) kernel.build_id = build_id_in_notes(as_bytes(*notes));
  return kernel;
}

}  // namespace nightjar::atlas
