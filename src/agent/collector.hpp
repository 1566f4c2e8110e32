// SPDX-License-Identifier: Apache-2.0
// The reader: from the buffers to the output, waking as rarely as the events allow.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/exec_gate.hpp"
#include "agent/flows.hpp"
#include "agent/limits.hpp"
#include "agent/losses.hpp"
#include "agent/merger.hpp"
#include "agent/metrics.hpp"
#include "agent/options.hpp"
#include "agent/pins.hpp"
#include "agent/pipeline.hpp"
#include "agent/progress.hpp"
#include "agent/sensor.hpp"
#include "agent/snapshot.hpp"
#include "output/outputs.hpp"

namespace nightjar {

class Collector {
 public:
  static Result<std::unique_ptr<Collector>> start(const Host& host, const SensorOptions& options,
                                                  std::unique_ptr<Sensor> sensor, Outputs outputs,
                                                  std::unique_ptr<MetricsExporter> metrics, LogSink log,
                                                  std::unique_ptr<Pins> pins = nullptr);

  /// Says sensor_started and, for run, tells the processes that are there. Call once, first. The scope must be in
  /// place.
  Result<> open_stream(bool show_snapshot);

  /// Waits for records (or for `signals` to be readable), delivers them. Call in a loop; returns after at most about a
  /// second. True: go on; false: --count or --duration was reached.
  Result<bool> turn(int signals);

  /// Lets the outputs deliver. Call once COMMAND, if there is one, was forked: threads begin.
  void start_outputs() {
    outputs_.start();
    if (metrics_) metrics_->start();
    if (gate_) gate_->facts().start();
  }
  /// Whether an output speaks to other machines.
  [[nodiscard]] bool needs_network() const { return outputs_.need_network(); }

  /// Delivers what is left, and says sensor_stopped. The programs are detached before, so that nothing is missed.
  Result<> close_stream();

  /// Takes over what of these options can change while the sensor runs.
  void adopt(const SensorOptions& options);
  /// Counts a configuration that was wrong and changed nothing.
  void refuse_configuration() { ++reloads_refused_; }

  /// The summary of --stats, for people.
  [[nodiscard]] std::string summary() const;

  [[nodiscard]] const SelfTask& self() const { return self_; }
  Sensor& sensor() { return *sensor_; }

 private:
  Collector(const Host& host, const SensorOptions& options, std::unique_ptr<Sensor> sensor, Outputs outputs,
            std::unique_ptr<MetricsExporter> metrics, std::unique_ptr<ExecGate> gate, LogSink log);
  Result<std::size_t> drain(bool last);
  Result<> flush();
  void take(Bytes record, const Origin& origin);
  [[nodiscard]] PinNumbers numbers() const;
  /// Tells what an agent before this one could not, and which processes' images are told by what waits.
  Result<std::set<ProcessKey>> take_over();
  void tell_replaced();
  Result<> drain_own();
  Result<> let_go();
  Result<> tell_losses(bool at_the_end = false);
  /// `what`: which event, or another class.
  void tell_lost(std::string_view what, std::uint64_t count, std::string_view reason);
  Result<> tell_flows(bool all);
  /// Events of a kind that happened: counted in the kernel, and summaries.
  [[nodiscard]] std::uint64_t happened(unsigned wire_kind) const;
  void tell_missed();
  void tell_suppressed();
  void tell_suppressed(const std::string& key, std::uint64_t count);
  /// What the rate limit held back; told every few seconds, or at once when it is `all`.
  void tell_limits(std::uint64_t now_ns, bool all);
  /// Events that rules held back, by rule, in the kernel and here.
  [[nodiscard]] std::map<std::string, std::uint64_t> suppressed();
  void tell_output_losses(bool at_the_end);
  std::string metrics_text();
  Result<> publish_metrics(std::uint64_t now_ns);
  Result<> check_sight();
  /// Warns when pins are gone: the agent would leave less than it promises.
  void check_pins();
  void tell_stats(Kind kind);
  [[nodiscard]] std::string stats_json();
  [[nodiscard]] std::string coverage_json() const;
  [[nodiscard]] bool reached_count() const;
  [[nodiscard]] unsigned round_ms() const;

  const Host& host_;
  const SensorOptions& options_;
  std::unique_ptr<Pins> pins_;  // before the sensor, which goes first
  std::unique_ptr<Sensor> sensor_;
  Outputs outputs_;
  std::unique_ptr<MetricsExporter> metrics_;
  std::unique_ptr<ExecGate> gate_;  // null: nothing is asked of executables
  LogSink log_;
  Pipeline pipeline_;
  LossCounter losses_;
  std::optional<Flows> flows_;
  std::optional<Limits> limits_;
  std::optional<Progress> progress_;  // with pins
  PinNumbers before_;                 // of agents before this one
  std::uint64_t flows_told_ = 0;      // by them and this one, that had ended; with pins
  Merger merger_;
  UniqueFd epoll_;
  int watched_signals_ = -1;
  Batch batch_;
  SelfTask self_;
  bool merges_ = false;  // more than one buffer: their records must be put in order
  bool idle_ = false;
  std::uint64_t started_ns_ = 0;
  std::uint64_t next_losses_ns_ = 0;
  std::uint64_t next_flows_ns_ = 0;
  std::uint64_t next_limits_ns_ = 0;
  std::uint64_t next_stats_ns_ = 0;
  std::uint64_t next_metrics_ns_ = 0;
  bool metrics_failed_ = false;
  std::uint64_t self_check_failures_ = 0;
  std::uint64_t pins_missing_ = 0;
  unsigned stats_interval_s_;
  std::uint64_t reloads_ = 0;
  std::uint64_t reloads_refused_ = 0;
  std::map<std::string, std::uint64_t> missed_told_;      // by event
  std::map<std::string, std::uint64_t> suppressed_told_;  // by rule
  std::vector<Sensor::ProgramLine> programs_;             // as of the detaching
};

}  // namespace nightjar
