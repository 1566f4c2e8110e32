// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "output/output.hpp"

namespace nightjar {

/// All outputs of a sensor: each gets the events that it wants.
class Outputs {
 public:
  struct Selection {
    std::function<Result<std::set<Kind>>(const std::string& list)> events;                     ///< of events=LIST
    std::function<Result<std::set<std::string, std::less<>>>(const std::string& list)> rules;  ///< of rules=LIST
    Format format;  ///< of outputs that do not say
  };
  static Result<Outputs> open(const std::vector<std::string>& uris, const SinkContext& context,
                              const Selection& selection);

  void start();
  /// Whether one of them wants that format.
  [[nodiscard]] bool want(Format format) const;
  /// The same events in the selection's format and, where want() says so, in the other one. Takes the batches' contents
  /// away. Fails when no output is left that could ever write again.
  Result<> write(Batch& batch, Batch& other);
  /// How many batches write() took; and how many of them the end of this process cannot take away any more.
  [[nodiscard]] std::uint64_t taken() const { return taken_; }
  [[nodiscard]] std::uint64_t settled();
  Result<> close();

  struct Loss {
    std::string output;
    OutputLoss loss;
  };
  std::vector<Loss> take_losses(bool at_the_end = false);
  [[nodiscard]] std::vector<OutputStats> stats();
  /// Whether one of them speaks to other machines.
  [[nodiscard]] bool need_network() const;

 private:
  /// Sets `alive` when an output took it, else `failed`.
  void write_to(Format format, Batch& batch, bool& alive, std::optional<Error>& failed);

  Format format_ = Format::ecs;
  std::vector<std::unique_ptr<Output>> outputs_;
  std::uint64_t taken_ = 0;
};

}  // namespace nightjar
