// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attach.hpp"
#include "handle.hpp"
#include "libbpf_log.hpp"
#include "nightjar/program_group.hpp"

namespace nightjar {

/// What a loaded version owns.
struct LoadedGroup::State {
  struct Attached {
    std::vector<Hold> holds;
    UniqueFd program;  ///< unless the object owns it
  };

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    const LibbpfCapture quiet;
    detach();
    poller.reset();  // gives what is left to its handler
    object.reset();
  }

  void detach() {
    const LibbpfCapture quiet;
    for (auto last = attached.rbegin(); last != attached.rend(); ++last) last->holds.clear();
  }

  std::string version;
  std::vector<std::string> remarks;
  std::vector<Error> passed_over;
  ObjectHandle object;
  std::vector<LoadedProgram> programs;
  std::vector<Attached> attached;  ///< one for each of `programs`, in the same order
  /// By the blueprint's name, which is longer than the kernel's; none where the map was not created.
  std::map<std::string, std::optional<Map>, std::less<>> maps;
  std::optional<EventPoller> poller;
};

}  // namespace nightjar
