// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "handle.hpp"
#include "libbpf_log.hpp"
#include "nightjar/program_group.hpp"

namespace nightjar {

/// What a loaded version owns.
struct LoadedGroup::State {
  struct Attached {
    bpf_program* program = nullptr;
    std::vector<LinkHandle> links;
  };

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    const LibbpfCapture quiet;
    while (!attached.empty()) attached.pop_back();  // the last attached first
    object.reset();
  }

  std::string version;
  std::vector<Error> passed_over;
  ObjectHandle object;
  std::vector<LoadedProgram> programs;
  std::vector<Attached> attached;  ///< one for each of `programs`, in the same order
  /// By the blueprint's name: libbpf renames a map that is shared to what the kernel calls it.
  std::map<std::string, bpf_map*, std::less<>> maps;
};

}  // namespace nightjar
