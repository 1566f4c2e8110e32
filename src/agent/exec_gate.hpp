// SPDX-License-Identifier: Apache-2.0
// Where records wait for what is worked out of an executable: an exec, and all that comes behind it, so that the order
// stays.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/executable_facts.hpp"
#include "agent/merger.hpp"
#include "wire/process.h"
#include "wire/record.hpp"

namespace nightjar {

FileIdentity identity_of(const wire_file& file);

/// An exec waits for at most a second, and at most 8 MiB wait: then it goes without the facts, and says so.
class ExecGate {
 public:
  using Take = std::function<void(Bytes, const Origin&)>;

  static Result<std::unique_ptr<ExecGate>> make(const ExecutableFacts::Wanted& wanted);

  /// True: the record was copied, release() gives it when its time has come.
  bool keeps(Bytes record, const Origin& origin);
  /// Gives what need not wait any longer. `wait`: until nothing is left.
  void release(bool wait, const Take& take);
  [[nodiscard]] bool empty() const { return held_.empty(); }
  /// Where the records that wait came from.
  void for_each(const std::function<void(const Origin&)>& visit) const {
    for (const Held& held : held_) visit(held.origin);
  }

  ExecutableFacts& facts() { return *facts_; }

 private:
  explicit ExecGate(std::unique_ptr<ExecutableFacts> facts) : facts_(std::move(facts)) {}
  [[nodiscard]] bool may_go(std::uint64_t now_ns) const;

  struct Held {
    std::vector<std::byte> record;
    FileIdentity file;  ///< of an exec; else inode 0
    std::string path;
    std::uint64_t until_ns = 0;
    Origin origin;
  };
  std::unique_ptr<ExecutableFacts> facts_;
  std::deque<Held> held_;
  std::size_t bytes_ = 0;
};

}  // namespace nightjar
