// SPDX-License-Identifier: Apache-2.0
#include "agent/collector.hpp"

#include <algorithm>

#include <unistd.h>

#include <sys/epoll.h>

namespace nightjar {
namespace {

constexpr std::uint64_t ms = 1'000'000;
constexpr std::uint64_t second = 1000 * ms;

// A perf buffer cannot wake for the first record only; nothing waits longer than this.
constexpr unsigned perf_wait_ms = 50;
constexpr std::uint64_t losses_every_ns = second / 2;  // told within a second
constexpr std::uint64_t flows_every_ns = second;
constexpr std::size_t write_bytes = 256 << 10;
constexpr std::size_t records_a_turn = 16384;

Pipeline::Settings pipeline_settings(const SensorOptions& options, const Sensor& sensor, const Outputs& outputs,
                                     ExecGate* gate) {
  Pipeline::Settings settings;
  settings.wanted = options.wanted;
  settings.format = options.format;
  settings.filter = options.filter;
  settings.user_names = options.user_names;
  settings.both_formats = outputs.want(options.format == Format::ecs ? Format::ocsf : Format::ecs);
  settings.scalar_rules = sensor.scalar_rules();
  if (gate != nullptr) settings.executables = &gate->facts();
  settings.environment = options.environment;
  settings.sees_scripts = sensor.sees_scripts();
  if (sensor.reads_proc()) settings.start_step_ns = ProcSnapshot::start_step_ns();
  settings.sequence_base = sensor.sequence_base();
  for (const Coverage& row : sensor.coverage()) settings.hooks[row.kind] = std::string(sensor.hook(row.kind));
  return settings;
}

}  // namespace

Collector::Collector(const Host& host, const SensorOptions& options, std::unique_ptr<Sensor> sensor, Outputs outputs,
                     std::unique_ptr<MetricsExporter> metrics, std::unique_ptr<ExecGate> gate, LogSink log)
    : host_(host),
      options_(options),
      sensor_(std::move(sensor)),
      outputs_(std::move(outputs)),
      metrics_(std::move(metrics)),
      gate_(std::move(gate)),
      log_(std::move(log)),
      pipeline_(host, pipeline_settings(options, *sensor_, outputs_, gate_.get())),
      losses_(sensor_->counters()),
      merger_(options.latency_ms * ms),
      stats_interval_s_(options.stats_interval_s) {
  if (!sensor_->limits().empty()) limits_.emplace(sensor_->limits());
  if (const Map* flows = sensor_->flows())
    flows_.emplace(*flows, sensor_->udp_sockets(), sensor_->flow_counts(), sensor_->sequence_base());
}

Result<std::unique_ptr<Collector>> Collector::start(const Host& host, const SensorOptions& options,
                                                    std::unique_ptr<Sensor> sensor, Outputs outputs,
                                                    std::unique_ptr<MetricsExporter> metrics, LogSink log,
                                                    std::unique_ptr<Pins> pins) {
  std::unique_ptr<ExecGate> gate;
  if ((options.hash || options.package) && options.wanted.contains(Kind::exec))
    gate = NIGHTJAR_TRY(ExecGate::make({.digest = options.hash, .package = options.package}));
  std::unique_ptr<Collector> collector(new Collector(host, options, std::move(sensor), std::move(outputs),
                                                     std::move(metrics), std::move(gate), std::move(log)));
  collector->merges_ = !collector->sensor_->uses_ring_buffer() || collector->sensor_->sources().size() > 1;
  if (pins) {
    collector->pins_ = std::move(pins);
    collector->pins_->journal()->use(collector->pins_->state()->journal());
    collector->progress_.emplace(*collector->pins_->state(), *collector->pins_->journal(),
                                 collector->sensor_->sources(), collector->log_);
    if (collector->flows_) collector->flows_->tell_only_ends();
    collector->merges_ = true;  // what waits for who takes over is looked at before it is told
  }
  collector->epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!collector->epoll_.valid()) return Error::from_errno("epoll_create1");
  std::vector<int> awaited;
  for (const EventSource& source : collector->sensor_->sources()) awaited.push_back(source.fd());
  if (collector->gate_) awaited.push_back(collector->gate_->facts().fd());
  for (const int fd : awaited) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = -1;
    if (epoll_ctl(collector->epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
      return Error::from_errno("cannot wait for the event buffers");
  }
  return collector;
}

Result<> Collector::open_stream(bool show_snapshot) {
  started_ns_ = boot_clock_ns();
  next_losses_ns_ = started_ns_ + losses_every_ns;
  next_stats_ns_ = started_ns_ + stats_interval_s_ * second;
  std::set<ProcessKey> told_by_records;
  if (sensor_->is_adopted()) told_by_records = NIGHTJAR_TRY(take_over());
  const SnapshotSource snapshot = [this](bool only_self, const SnapshotVisit& visit) {
    return sensor_->snapshot(options_.scope, only_self, visit);
  };
  self_ = NIGHTJAR_TRY(tell_self(snapshot, pipeline_));

  Facts facts;
  const std::string version = json::quoted(NIGHTJAR_VERSION);
  const std::string coverage = coverage_json();
  const std::string scope = json::quoted(options_.scope.text);
  std::string buffers = "{\"bytes\":";
  std::size_t bytes = 0;
  for (const EventSource& source : sensor_->sources()) bytes += source.capacity();
  json::number(buffers, bytes);
  buffers += '}';
  facts[Fact::version] = version;
  facts[Fact::coverage] = coverage;
  facts[Fact::scope] = scope;
  facts[Fact::transport] = sensor_->uses_ring_buffer() ? "\"ringbuf\"" : "\"perf\"";
  facts[Fact::buffers] = buffers;
  pipeline_.own_event(Kind::sensor_started, facts, batch_.text);
  const bool show = show_snapshot && options_.wanted.contains(Kind::process_snapshot);
  NIGHTJAR_CHECK(tell_processes(
      snapshot, show, pipeline_, batch_.text,
      [this]() -> Result<> { return batch_.text.size() >= write_bytes ? flush() : Result<>(); }, told_by_records));
  if (pins_) tell_replaced();
  if (sensor_->is_adopted() && flows_) {
    const std::uint64_t taken = NIGHTJAR_TRY(flows_->resume(flows_told_));
    // Flows are no records: what an agent took from their table, and was killed before it was told, is gone.
    if (taken != 0) tell_lost("udp_flow", taken, "agent_killed");
    flows_told_ += taken;
  }
  return flush();
}

Result<> Collector::flush() {
  Result<> written;
  if (!batch_.text.empty()) {
    batch_.lines = pipeline_.take_lines();
    Batch other = pipeline_.take_other();
    written = outputs_.write(batch_, other);
  }
  if (progress_) {
    progress_->flushed(outputs_.taken(), numbers());
    progress_->settle(outputs_.settled());
  }
  return written;
}

bool Collector::reached_count() const {
  return options_.count != 0 && pipeline_.sent_in_all() >= options_.count;
}

void Collector::take(Bytes record, const Origin& origin) {
  if (!progress_) return pipeline_.take(record, batch_.text);
  if (progress_->was_delivered(origin)) return pipeline_.replay(record, batch_.text);
  pipeline_.take(record, batch_.text);
  if (!origin.is_in_buffer() && as_wire<net_connection>(record).state == WIRE_FLOW_ENDED) ++flows_told_;
  progress_->took(origin, as_wire<wire_header>(record).kind);
}

Result<std::size_t> Collector::drain(bool last) {
  std::size_t records = 0;
  Result<> written;
  const auto encode = [&](Bytes bytes, const Origin& origin) {
    if (reached_count()) return;
    take(bytes, origin);
    if (batch_.text.size() >= write_bytes && written) written = flush();
  };
  const auto take_one = [&](Bytes bytes, const Origin& origin) {
    if (!gate_ || !gate_->keeps(bytes, origin)) encode(bytes, origin);
  };
  if (gate_) gate_->release(false, encode);
  if (merges_) merger_.begin_round(boot_clock_ns());
  Origin origin;
  for (EventSource& source : sensor_->sources()) {
    origin.source = static_cast<std::uint32_t>(&source - sensor_->sources().data());
    std::size_t here = 0;
    std::uint64_t last_ns = 0;
    auto consumed = source.consume([&](const EventView& view) {
      if (view.lost != 0) return Visit::go_on;  // the programs count their losses by themselves, by kind
      origin.position = view.position;
      if (merges_) {
        last_ns = merger_.add(view.bytes, origin);
      } else {
        take_one(view.bytes, origin);
      }
      ++here;
      const bool stop = !written || reached_count() || (!last && here >= records_a_turn);
      return stop ? Visit::stop : Visit::go_on;
    });
    if (!consumed) return std::move(consumed).error();
    records += *consumed;
    if (here >= records_a_turn) merger_.read_up_to(last_ns);
  }
  if (merges_) {
    merger_.give(last, [&](Bytes bytes, const Origin& from) {
      if (!reached_count()) take_one(bytes, from);
    });
  }
  if (gate_ && last) gate_->release(true, encode);
  if (!written) return std::move(written).error();
  NIGHTJAR_CHECK(flush());
  return records;
}

/// While events come: a batch holds what half of the time brings that an event may take. A ring buffer wakes the reader
/// when much waits.
unsigned Collector::round_ms() const {
  const unsigned half = std::max(1U, options_.latency_ms / 2);
  return sensor_->uses_ring_buffer() ? half : std::min(half, perf_wait_ms);
}

Result<bool> Collector::turn(int signals) {
  if (watched_signals_ != signals) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, signals, &event) != 0)
      return Error::from_errno("cannot wait for signals");
    watched_signals_ = signals;
  }
  const std::uint64_t before = boot_clock_ns();
  const std::uint64_t next = std::max(before, merger_.next_round_ns(before + round_ms() * ms));
  int wait_ms = static_cast<int>((next - before + ms - 1) / ms);
  if (idle_) {
    wait_ms = sensor_->uses_ring_buffer() ? static_cast<int>(second / ms) : static_cast<int>(perf_wait_ms);
    if (options_.duration_s > 0) {
      const double left =
          options_.duration_s * 1000 - static_cast<double>(before - started_ns_) / static_cast<double>(ms);
      wait_ms = std::clamp(static_cast<int>(left), 1, wait_ms);
    }
  }
  epoll_event events[4];
  const int ready = epoll_wait(epoll_.get(), events, 4, wait_ms);
  if (ready < 0 && errno != EINTR) return Error::from_errno("epoll_wait");

  sensor_->reader().busy();
  std::size_t records = NIGHTJAR_TRY(drain(false));
  if (records == 0 && merger_.empty()) {
    // Told first, looked once more: a record that comes in between either is seen now or wakes us.
    sensor_->reader().going_idle();
    records = NIGHTJAR_TRY(drain(false));
  }
  idle_ = records == 0 && merger_.empty() && (!gate_ || gate_->empty());

  const std::uint64_t now = boot_clock_ns();
  if (now >= next_losses_ns_) {
    next_losses_ns_ = now + losses_every_ns;
    tell_limits(now, false);
    NIGHTJAR_CHECK(tell_losses());
    NIGHTJAR_CHECK(sensor_->keep_clock());
    pipeline_.refresh_names();
  }
  if (now >= next_flows_ns_) {
    next_flows_ns_ = now + flows_every_ns;
    NIGHTJAR_CHECK(tell_flows(false));
  }
  if (now >= next_stats_ns_) {
    next_stats_ns_ = now + stats_interval_s_ * second;
    tell_suppressed();
    NIGHTJAR_CHECK(check_sight());
    check_pins();
    tell_stats(Kind::sensor_stats);
    NIGHTJAR_CHECK(flush());
  }
  NIGHTJAR_CHECK(publish_metrics(now));
  if (progress_) {
    progress_->settle(outputs_.settled());
    progress_->release(now, [this](const Progress::Visit& visit) {
      merger_.for_each([&](Bytes, const Origin& origin) { visit(origin); });
      if (gate_) gate_->for_each(visit);
    });
  }
  const bool over = options_.duration_s > 0 && static_cast<double>(now - started_ns_) >= options_.duration_s * 1e9;
  return !over && !reached_count();
}

void Collector::adopt(const SensorOptions& options) {
  if (ScalarRules* rules = sensor_->scalar_rules(); rules != nullptr && options.filter) {
    if (auto installed = rules->install(options.filter); !installed)
      log_(LogLevel::warning, "rules are asked in user space only: " + to_string(installed.error()));
  }
  pipeline_.adopt(options.filter, options.environment, options.user_names);
  const PathRules rules = options.filter ? compile_path_rules(*options.filter) : PathRules{};
  tell_inexact(rules, log_);
  if (auto adopted = sensor_->rules().adopt(rules); !adopted && log_)
    log_(LogLevel::warning, "file events are filtered in user space until a restart: " + adopted.error().what());
  stats_interval_s_ = options.stats_interval_s;
  next_stats_ns_ = std::min(next_stats_ns_, boot_clock_ns() + stats_interval_s_ * second);
  ++reloads_;
}

Result<> Collector::close_stream() {
  programs_ = sensor_->program_stats();
  const bool stays = pins_ && options_.keep_pins;
  if (!stays) NIGHTJAR_CHECK(let_go());
  // Programs that stay send on: what is there now is enough.
  NIGHTJAR_CHECK(drain(!stays));
  if (stays) NIGHTJAR_CHECK(drain_own());
  if (!stays) NIGHTJAR_CHECK(tell_flows(true));
  NIGHTJAR_CHECK(flush());  // what an output refuses of it is told next
  NIGHTJAR_CHECK(tell_losses(true));
  tell_limits(boot_clock_ns(), true);
  tell_suppressed();
  tell_stats(Kind::sensor_stopped);
  next_metrics_ns_ = 0;
  NIGHTJAR_CHECK(publish_metrics(boot_clock_ns()));
  auto written = flush();
  auto closed = outputs_.close();
  if (progress_) progress_->settle_all();
  return written ? std::move(closed) : std::move(written);
}

}  // namespace nightjar
