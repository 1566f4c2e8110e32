// SPDX-License-Identifier: Apache-2.0
// One --output: a sink, what waits for it, and the account of what became of every event.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "nightjar/unique_fd.hpp"
#include "output/sink.hpp"
#include "output/spool.hpp"
#include "wire/plan.hpp"

namespace nightjar {

/// Events that an output lost since the last look.
struct OutputLoss {
  std::string_view what;  ///< the event's name, or "unknown" (a damaged spool)
  std::string_view
      reason;  ///< queue_full, spool_full, spool_failed, spool_damaged, too_large, refused, client_slow, ...
  std::uint64_t count = 0;
  std::int64_t first_ns = 0, last_ns = 0;  ///< since 1970
};

struct OutputStats {
  std::string uri;
  std::uint64_t delivered = 0, lost = 0, waiting = 0, failures = 0;
  std::uint64_t queue_bytes = 0, spool_bytes = 0;
  bool failing = false;
};

/// Either direct (the reader's thread writes a file), or with a thread of its own behind a bounded queue or a spool.
/// write() never waits for the other side.
class Output {
 public:
  /// What goes to this output.
  struct Wanted {
    std::set<Kind> kinds;                        ///< empty: all
    std::set<std::string, std::less<>> rules{};  ///< events that one of these let through; empty: all
    Format format = Format::ecs;

    [[nodiscard]] bool all() const { return kinds.empty() && rules.empty(); }
    /// The stream's own events always.
    [[nodiscard]] bool takes(const Line& line) const;
  };
  static Result<std::unique_ptr<Output>> open(const OutputSpec& spec, const SinkContext& context, Wanted wanted);
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output();

  /// Starts the thread, if there is one. Before this, events wait.
  void start();
  /// An error: nothing can ever be written any more.
  /// `ticket`: for settled(), growing.
  Result<> write(const std::shared_ptr<const Batch>& batch, std::uint64_t ticket = 0);
  /// Gives the thread what time the settings allow to deliver what waits. Afterwards the spool holds the rest, or it is
  /// counted as lost and warned of.
  Result<> close();

  [[nodiscard]] const OutputSpec& spec() const { return spec_; }
  [[nodiscard]] const Wanted& wanted() const { return wanted_; }
  [[nodiscard]] bool direct() const { return sink_->direct() && !spool_; }
  /// Every batch up to this ticket is delivered, on disk, or counted as lost: the end of this process takes none away.
  [[nodiscard]] std::uint64_t settled();
  /// Where too many reports of losses wait for room already, losses are kept and summed up until the end.
  std::vector<OutputLoss> take_losses(bool at_the_end = false);
  [[nodiscard]] OutputStats stats();

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting {
    std::shared_ptr<const Batch> batch;
    std::size_t from = 0;
    std::uint64_t ticket = 0;
  };
  Output(OutputSpec spec, std::unique_ptr<Sink> sink, Wanted wanted, LogSink log);
  Result<> put(const std::shared_ptr<const Batch>& batch, std::uint64_t ticket);
  Result<> write_direct(const Batch& batch);
  Result<> write_to_spool(const Batch& batch);
  void work();
  /// Delivers once; false when there was nothing to do.
  bool deliver_next();
  void after(const Delivery& delivery);
  void wait(std::chrono::milliseconds at_most);
  void wake() const;
  /// There is no room for the batch from that line on: what tells of losses waits, the rest is lost.
  void refuse(const Batch& batch, std::size_t from, std::string_view reason);
  void lose(std::string_view what, std::string_view reason, std::uint64_t count);
  void warn_once(const std::string& text);

  OutputSpec spec_;
  std::unique_ptr<Sink> sink_;
  Wanted wanted_;
  LogSink log_;
  std::uint64_t queue_bytes_at_most_ = 0;
  std::chrono::seconds drain_{0};
  bool drains_for_ever_ = false;
  std::unique_ptr<Spool> spool_;
  UniqueFd wakeup_;
  std::thread thread_;
  bool closed_ = false;
  Batch reports_;  ///< what could not be written of the stream's own events: before all that follows. The writer's.
  std::atomic<bool> stopping_ = false, failing_ = false, dead_ = false;
  std::atomic<std::uint64_t> delivered_ = 0, failures_ = 0;
  std::chrono::milliseconds pause_{0};  // between tries, while they fail

  std::mutex mutex_;  // for the rest
  std::deque<Waiting> queue_;
  std::uint64_t queue_bytes_ = 0, queue_lines_ = 0;
  Clock::time_point deadline_;
  std::optional<Error> fatal_;
  std::map<std::pair<std::string_view, std::string_view>, OutputLoss> losses_;
  std::uint64_t lost_in_all_ = 0;
  bool loss_warned_ = false;
};

}  // namespace nightjar
