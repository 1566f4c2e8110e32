// SPDX-License-Identifier: Apache-2.0
// Counts the calls of a kernel function for a second: kprobe_count [FUNCTION]
#include <chrono>
#include <cstdint>
#include <iostream>
#include <numeric>
#include <thread>

#include <nightjar/program_group.hpp>

namespace {

nightjar::Result<std::uint64_t> count_calls(const std::string& function) {
  nightjar::ProgramGroup group;
  const auto loaded = NIGHTJAR_TRY(group.load(nightjar::ProgramBlueprint::from_file("kprobe_count.bpf.o"),
                                              {nightjar::ProgramVersion{nightjar::Program{"on_call", {function}}}}));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const nightjar::Map calls = NIGHTJAR_TRY(loaded.map("calls"));
  const auto by_cpu = NIGHTJAR_TRY((calls.get_per_cpu<std::uint32_t, std::uint64_t>(0)));
  return std::accumulate(by_cpu.begin(), by_cpu.end(), std::uint64_t{0});
}

}  // namespace

int main(int argc, char** argv) {
  const std::string function = argc > 1 ? argv[1] : "vfs_read";
  const auto count = count_calls(function);
  if (!count) {
    std::cerr << nightjar::to_string(count.error()) << '\n';
    return 1;
  }
  std::cout << function << ": " << *count << " calls\n";
}
