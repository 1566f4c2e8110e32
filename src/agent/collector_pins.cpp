// SPDX-License-Identifier: Apache-2.0
// The collector after an agent that was killed, and before one that will take over.
#include <unistd.h>

#include "agent/collector.hpp"

namespace nightjar {

PinNumbers Collector::numbers() const {
  PinNumbers numbers;
  numbers.sequence = pipeline_.sequence();
  for (const EventInfo& event : all_events())
    numbers.sent[static_cast<std::size_t>(event.kind)] = pipeline_.sent(event.kind);
  for (unsigned kind = 0; kind < WIRE_KIND_END; ++kind)
    numbers.counted_here[kind] =
        before_.counted_here[kind] + (flows_ ? flows_->told(kind) : 0) + pipeline_.dns_over_tcp(kind);
  numbers.flows_told = flows_told_;
  std::size_t program = 0;
  for (const auto& [event, told] : missed_told_) {
    if (program < PinNumbers::programs) numbers.missed_told[program++] = told;
  }
  return numbers;
}

Result<std::set<ProcessKey>> Collector::take_over() {
  const PinNumbers& before = before_ = pins_->state()->numbers();
  pipeline_.resume(before.sequence, before.sent);
  flows_told_ = before.flows_told;
  if (limits_) limits_->resume();
  losses_.resume(pins_->state()->told_cells());
  // The events of the same programs, in the same order: tell_missed() has every one of them, from its first call on.
  std::set<std::string> events;
  for (const Sensor::ProgramLine& line : sensor_->program_stats()) events.emplace(event_of_program(line.name));
  std::size_t program = 0;
  for (const std::string& event : events) {
    if (program < PinNumbers::programs) missed_told_[event] = before.missed_told[program++];
  }
  // What waits is read before the snapshot. A process that has an exec among it ran something else before, which the
  // snapshot does not know: its image is taken from there, so that no event before shows a later one.
  merger_.begin_round(boot_clock_ns());
  std::uint32_t number = 0;
  for (EventSource& source : sensor_->sources()) {
    Origin origin{number++, 0};
    const std::uint64_t most = source.released() + source.capacity();
    auto read = source.consume([&](const EventView& view) {
      origin.position = view.position;
      merger_.add(view.bytes, origin);
      return view.position < most ? Visit::go_on : Visit::stop;
    });
    if (!read) return std::move(read).error();
  }
  std::set<ProcessKey> told;
  merger_.for_each([&](Bytes bytes, const Origin&) {
    const auto record = checked_record(bytes);
    if (!record || as_wire<wire_header>(*record).kind != WIRE_PROCESS_EXEC) return;
    told.insert(pipeline_.key_of(as_wire<process_exec>(*record).task));
  });
  return told;
}

/// Flows wait for older records of their processes, and are in no buffer for the next agent.
Result<> Collector::drain_own() {
  const auto waits = [this] {
    bool any = false;
    merger_.for_each([&](Bytes, const Origin& origin) { any |= !origin.is_in_buffer(); });
    return any;
  };
  for (int attempt = 0; attempt < 20 && waits(); ++attempt) {
    usleep(5000);
    NIGHTJAR_CHECK(drain(false));
  }
  return {};
}

void Collector::check_pins() {
  if (!pins_) return;
  const std::size_t gone = pins_->missing();
  if (gone > pins_missing_)
    log_(LogLevel::warning, "--pin " + pins_->directory() + ": somebody took away " + std::to_string(gone) +
                                " pins: what happens between this agent and the next will not be recorded; restart it");
  pins_missing_ = gone;
}

void Collector::tell_replaced() {
  for (const auto& [kind, count] : pins_->lost()) tell_lost(event_info(kind).action, count, "replaced");
}

/// Programs end with the agent: with pins, only when these are gone.
Result<> Collector::let_go() {
  if (pins_) NIGHTJAR_CHECK(pins_->remove());
  sensor_->detach();
  return {};
}

}  // namespace nightjar
