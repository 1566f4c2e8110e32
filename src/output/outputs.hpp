// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "output/output.hpp"

namespace nightjar {

/// All outputs of a sensor: each gets the events that it wants.
class Outputs {
 public:
  using Select = std::function<Result<std::set<Kind>>(const std::string& list)>;
  /// `select` turns the value of an output's events=LIST into kinds.
  static Result<Outputs> open(const std::vector<std::string>& uris, const SinkContext& context, const Select& select);

  void start();
  /// Takes the batch's contents away. Fails when no output is left that could ever write again.
  Result<> write(Batch& batch);
  Result<> close();

  struct Loss {
    std::string output;
    OutputLoss loss;
  };
  std::vector<Loss> take_losses();
  [[nodiscard]] std::vector<OutputStats> stats();
  /// Whether one of them speaks to other machines.
  [[nodiscard]] bool need_network() const;

 private:
  std::vector<std::unique_ptr<Output>> outputs_;
};

}  // namespace nightjar
