// SPDX-License-Identifier: Apache-2.0
// Prints the name of each program that is executed, in a loop of our own: ring_reader [PID]
#include <cstdint>
#include <cstdlib>
#include <iostream>

#include <nightjar/program_group.hpp>
#include <poll.h>

static nightjar::Result<> run(std::uint32_t process) {
  nightjar::ProgramVersion version{nightjar::Program{"on_exec"}};
  version.set("only_process", process);
  auto loaded = NIGHTJAR_TRY(
      nightjar::ProgramGroup().load(nightjar::ProgramBlueprint::from_file("ring_reader.bpf.o"), {version}));
  const nightjar::Map execs = NIGHTJAR_TRY(loaded.map("execs"));
  auto source = NIGHTJAR_TRY(nightjar::EventSource::open(execs));
  std::cout << "ready" << std::endl;
  for (pollfd ready{source.fd(), POLLIN, 0}; ::poll(&ready, 1, -1) == 1;) {
    NIGHTJAR_CHECK(source.consume([](const nightjar::EventView& event) {
      std::cout << reinterpret_cast<const char*>(event.bytes.data()) << std::endl;
      return nightjar::Visit::go_on;
    }));
  }
  return {};
}

int main(int argc, char** argv) {
  const auto done = run(argc > 1 ? static_cast<std::uint32_t>(std::atoi(argv[1])) : 0);
  if (!done) std::cerr << nightjar::to_string(done.error()) << '\n';
  return 1;
}
