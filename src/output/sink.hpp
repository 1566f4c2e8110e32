// SPDX-License-Identifier: Apache-2.0
// One place where events go. A sink delivers when it is told to; queues, spools and retries are Output's.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "nightjar/log.hpp"
#include "output/batch.hpp"
#include "output/spec.hpp"
#include "output/write_journal.hpp"

namespace nightjar {

/// How far a delivery came.
struct Delivery {
  std::size_t lines = 0;         ///< dealt with, from the first that was asked for: delivered or refused
  Tally refused;                 ///< of these: what the other side will never take
  std::string_view reason;       ///< why refused, as in nightjar.lost.reason
  std::optional<Error> trouble;  ///< why it stopped: try again later
  bool fatal = false;            ///< with trouble: trying again is of no use
};

struct SinkContext {
  std::string hostname;
  LogSink log;
  std::shared_ptr<WriteJournal> journal = nullptr;  ///< for files; may be null
};

class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;

  /// Delivers the lines from index `from` on. May take up to some seconds. Called by one thread.
  virtual Delivery deliver(const Batch& batch, std::size_t from) = 0;
  /// The end is near: a delivery that can wait long gives up then, though not before it had a second. From any thread.
  virtual void end_by(std::chrono::steady_clock::time_point /*deadline*/) {}
  /// Called about ten times a second while there is nothing to deliver.
  virtual void idle() {}
  /// A descriptor which, readable, wants idle() at once; -1 for none.
  [[nodiscard]] virtual int fd() const { return -1; }
  /// Made for the reader's own thread: a delivery is one write to a file.
  [[nodiscard]] virtual bool direct() const { return false; }
  /// Finishes what can only be finished at the end (a compressed file).
  virtual Result<> close() { return {}; }
};

/// Of mode=0640.
Result<unsigned> file_mode(const OutputSpec& spec, unsigned otherwise);

using SinkMaker = Result<std::unique_ptr<Sink>>;
SinkMaker open_stdout(const OutputSpec& spec, const SinkContext& context);
SinkMaker open_file(const OutputSpec& spec, const SinkContext& context);
SinkMaker open_unix(const OutputSpec& spec, const SinkContext& context);
SinkMaker open_syslog(const OutputSpec& spec, const SinkContext& context);
SinkMaker open_journald(const OutputSpec& spec, const SinkContext& context);
SinkMaker open_kafka(const OutputSpec& spec, const SinkContext& context);
SinkMaker open_http(const OutputSpec& spec, const SinkContext& context);

/// The sink that the scheme names.
SinkMaker open_sink(const OutputSpec& spec, const SinkContext& context);

}  // namespace nightjar
