// SPDX-License-Identifier: Apache-2.0
// What an agent must know of the one before it, in a map that is pinned with the programs: shared memory that no end of
// a process tears.
//
// Records are delivered exactly once because each step can be killed. The kernel's buffers keep what was read until it
// is settled. A record is marked when every output has it; who adopts takes a marked record as known, and delivers the
// others. Marking is a transaction: a list of the records is written first, then one word says that it counts, then it
// is carried out; who finds the word carries it out again. A file that was written to, and whose batch is not settled,
// is cut back to where the batch began.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/merger.hpp"
#include "nightjar/map.hpp"
#include "nightjar/result.hpp"
#include "output/write_journal.hpp"

namespace nightjar {

/// Numbers that go on where the agent before left them.
struct PinNumbers {
  static constexpr std::size_t kinds = 256;
  static constexpr std::size_t programs = 256;
  std::uint64_t sequence = 0;
  std::uint64_t sent[kinds] = {};
  std::uint64_t taken[kinds] = {};         ///< records that were dealt with, shown or not
  std::uint64_t counted_here[kinds] = {};  ///< events that the agents counted, not the programs (Collector::happened)
  std::uint64_t flows_told = 0;            ///< that had ended
  std::uint64_t missed_told[programs] = {};
};

class PinState {
 public:
  static constexpr std::size_t most_buffers = 2;

  /// What the buffers of a state are like.
  struct Shape {
    std::uint64_t buffer_bytes[most_buffers] = {};
    std::uint32_t told_cells = 0;  ///< for counts of losses
  };
  static Result<PinState> create(const Shape& shape);
  /// Fails with corrupt when it was made by something else than this build.
  static Result<PinState> open(const std::string& path);
  PinState(PinState&& other) noexcept;
  PinState& operator=(PinState&&) = delete;
  PinState(const PinState&) = delete;
  PinState& operator=(const PinState&) = delete;
  ~PinState();

  [[nodiscard]] const Map& map() const { return map_; }
  /// What the agent that made it wrote down.
  [[nodiscard]] std::string text() const;
  /// Fails when it is too long.
  [[nodiscard]] Result<> set_text(std::string_view text);

  [[nodiscard]] bool is_marked(const Origin& origin) const;
  /// All outputs have these records; numbers and files were so when they had. `all`: there is nothing else that they do
  /// not have.
  void settle(std::span<const Origin> records, const PinNumbers& numbers, const WriteJournal::Ends& ends, bool all);
  [[nodiscard]] const PinNumbers& numbers() const;
  [[nodiscard]] std::span<std::uint64_t> told_cells();

  /// Ends what a killed agent had begun: a settlement, or else a write. Says what was done, for the log.
  std::vector<std::string> recover();
  /// For outputs that write files.
  [[nodiscard]] WriteJournal::Page* journal();

 private:
  struct Page;
  PinState(Map map, std::byte* memory, std::size_t bytes);
  void carry_out();
  [[nodiscard]] std::atomic_ref<std::uint16_t> mark_of(const Origin& origin) const;
  [[nodiscard]] std::uint16_t lap_of(const Origin& origin) const;

  Map map_;
  Page* page_;
  std::size_t bytes_;
};

}  // namespace nightjar
