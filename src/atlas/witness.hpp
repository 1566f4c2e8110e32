// SPDX-License-Identifier: Apache-2.0
// The running kernel asked by reading its memory: facts about a process made for it, from procfs and the like, and a
// BPF program that follows chains from it.
#pragma once

#include <memory>

#include "atlas/proof.hpp"

namespace nightjar::atlas {

class Witness {
 public:
  /// Needs root. Fails with denied, unsupported (no process could be made, no program loads), system.
  static Result<Witness> start();
  Witness(Witness&&) noexcept;
  Witness& operator=(Witness&&) = delete;
  ~Witness();

  /// What is known. A fact that could not be found out is not among them: what it would prove stays unverified.
  [[nodiscard]] const Knowledge& knowledge() const;
  /// Some microseconds each; an exec each for Start::exec.
  Result<std::vector<Found>> read(Start start, std::span<const Address> addresses);

 private:
  struct State;
  explicit Witness(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace nightjar::atlas
