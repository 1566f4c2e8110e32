// SPDX-License-Identifier: Apache-2.0
// The rules of the configuration, as far as the BPF programs can ask them: written into maps, and taught which
// processes and cgroups they concern. What the kernel side cannot decide comes to user space, which asks all rules
// again.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/filter.hpp"
#include "nightjar/map.hpp"
#include "nightjar/mapped_array.hpp"
#include "wire/scalar_rules.h"

namespace nightjar {

/// A filter in the form that the programs read.
struct CompiledRules {
  wire_scalar_set set{};
  std::uint32_t asks = 0;        ///< enum wire_rules_ask
  std::vector<std::string> ids;  ///< by place in the set
};

/// Never drops what `filter` would keep; keeps what it cannot decide.
CompiledRules compile_rules(const Filter& filter);

/// Values that rules ask for, as the output shows them; empty: there are none.
struct CgroupNames {
  std::string path, container;
};

class ScalarRules {
 public:
  struct Maps {
    Map sets;
    MappedArray counts;
    Map images, cgroups;
  };
  /// Puts wire_reader::rules into force.
  using Switch = std::function<void(std::uint32_t rules)>;

  ScalarRules(Maps maps, Switch use) : maps_(std::move(maps)), use_(std::move(use)) {}

  /// These rules from now on; in one step, no event is judged by half of them. On failure the kernel side asks none.
  Result<> install(std::shared_ptr<const Filter> filter);

  /// Changes with every install: what was learnt before is no longer known.
  [[nodiscard]] std::uint32_t generation() const { return generation_; }
  [[nodiscard]] bool asks_images() const { return (compiled_.asks & WIRE_RULES_ASK_IMAGE) != 0; }
  [[nodiscard]] bool asks_cgroups() const { return (compiled_.asks & WIRE_RULES_ASK_CGROUP) != 0; }
  /// A process runs `executable` since `exec_ns` (wire_image_key).
  void learn_image(std::uint32_t pid, std::uint64_t start_ns, std::uint64_t exec_ns, const std::string& executable);
  void learn_cgroup(std::uint64_t id, const CgroupNames& names);

  /// What the kernel side dropped so far, by rule; brought up to date by look().
  [[nodiscard]] const std::map<std::string, std::uint64_t>& suppressed() const { return suppressed_; }
  void look();

 private:
  Maps maps_;
  Switch use_;
  std::shared_ptr<const Filter> filter_;
  CompiledRules compiled_;
  std::uint32_t generation_ = 0;
  std::uint32_t slot_ = 1;                                           // the set in force
  std::array<std::vector<std::string>, 2> ids_;                      // of both sets
  std::array<std::array<std::uint64_t, WIRE_RULES + 1>, 2> seen_{};  // counts, as of the last look
  std::map<std::string, std::uint64_t> suppressed_;
};

}  // namespace nightjar
