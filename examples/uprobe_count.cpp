// SPDX-License-Identifier: Apache-2.0
// Counts malloc() by process for a second: uprobe_count [PID]
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <thread>

#include <nightjar/program_group.hpp>

namespace {

nightjar::Result<> count_calls(nightjar::Program program) {
  nightjar::ProgramGroup group;
  const auto loaded = NIGHTJAR_TRY(
      group.load(nightjar::ProgramBlueprint::from_file("uprobe_count.bpf.o"), {nightjar::ProgramVersion{program}}));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const nightjar::Map calls = NIGHTJAR_TRY(loaded.map("calls"));
  const auto by_process = NIGHTJAR_TRY((calls.as<std::uint32_t, std::uint64_t>()));
  return by_process.for_each([](std::uint32_t process, std::uint64_t count) {
    std::cout << process << ": " << count << " calls of malloc\n";
    return true;
  });
}

}  // namespace

int main(int argc, char** argv) {
  nightjar::Program program("on_malloc");  // its section says where: "uprobe/libc.so.6:malloc"
  if (argc > 1) program.pid(std::atoi(argv[1]));
  if (const auto done = count_calls(program); !done) {
    std::cerr << nightjar::to_string(done.error()) << '\n';
    return 1;
  }
}
