// SPDX-License-Identifier: Apache-2.0
// The directory of --pin: who may use it, and what an agent before this one left there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/options.hpp"
#include "agent/pin_state.hpp"
#include "nightjar/log.hpp"
#include "nightjar/unique_fd.hpp"
#include "wire/events.hpp"

namespace nightjar {

class Pins {
 public:
  /// Takes the directory for this process, and ends what a killed agent left half-done. Fails with busy (an agent uses
  /// it), denied (others can write it), invalid (no BPF file system).
  static Result<std::unique_ptr<Pins>> open(const SensorOptions& options, const LogSink& log);
  Pins(const Pins&) = delete;
  Pins& operator=(const Pins&) = delete;
  /// Leaves no directory in which nothing is pinned.
  ~Pins();

  [[nodiscard]] const std::string& directory() const { return directory_; }
  /// Of the group's programs and maps.
  [[nodiscard]] std::string group(std::string_view name) const { return directory_ + "/" + std::string(name); }
  /// What stands for everything that shapes the kernel side: the build and the settings.
  [[nodiscard]] const std::string& identity() const { return identity_; }
  /// What is there can be taken over: it is whole, of this build, with the same settings.
  [[nodiscard]] bool adoptable() const { return adoptable_; }
  [[nodiscard]] PinState* state() { return state_ ? &*state_ : nullptr; }

  /// Takes away what is there, for `why`, and counts what its buffers still held.
  Result<> replace(const LogSink& log);
  /// Empty unless something was replaced: why; and what was lost with it.
  [[nodiscard]] const std::string& replaced() const { return replaced_; }
  [[nodiscard]] const std::vector<std::pair<Kind, std::uint64_t>>& lost() const { return lost_; }

  /// Makes the state of a kernel side that was loaded anew; finish() pins it, which makes the whole adoptable.
  Result<> begin(const PinState::Shape& shape);
  Result<> finish();
  /// Removes everything but the directory.
  Result<> remove();

  /// How many files are pinned.
  [[nodiscard]] Result<std::size_t> count() const;
  /// How many of those that finish() left there somebody took away.
  [[nodiscard]] std::size_t missing() const;
  /// In the state's text, behind the identity: how many files make the whole.
  static constexpr std::string_view count_line = "pins\t";

  const std::shared_ptr<WriteJournal>& journal() { return journal_; }

 private:
  Pins() = default;
  Result<> look();
  void count_lost();
  [[nodiscard]] std::size_t recorded_count() const;

  std::string directory_, identity_, replaced_;
  UniqueFd lock_;
  std::optional<PinState> state_;
  bool adoptable_ = false;
  std::vector<std::pair<Kind, std::uint64_t>> lost_;
  std::shared_ptr<WriteJournal> journal_ = std::make_shared<WriteJournal>();
};

}  // namespace nightjar
