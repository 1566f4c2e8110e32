// SPDX-License-Identifier: Apache-2.0
// Tells of every clone and, where the kernel has it, clone3, until Enter is pressed.
#include <cstdint>
#include <cstring>
#include <iostream>

#include <nightjar/program_group.hpp>

int main() {
  nightjar::ProgramGroup group;
  auto loaded = group.load(nightjar::ProgramBlueprint::from_file("clone_group.bpf.o"),
                           {
                               nightjar::ProgramVersion{
                                   nightjar::Program{"test_program_clone", {"sys_clone"}}.syscall(),
                                   nightjar::Program{"test_program_clone3", {"sys_clone3"}}.syscall().optional(),
                               },
                           },
                           [](nightjar::EventView event) {
                             std::uint32_t record[2];
                             if (event.bytes.size() < sizeof(record)) return;
                             std::memcpy(record, event.bytes.data(), sizeof(record));
                             std::cout << (record[0] == 3 ? "clone3" : "clone") << " by process " << record[1]
                                       << std::endl;
                           });
  if (!loaded) {
    std::cerr << nightjar::to_string(loaded.error()) << '\n';
    return 1;
  }
  for (const std::string& remark : loaded->remarks()) std::cerr << remark << '\n';
  std::cin.get();
}
