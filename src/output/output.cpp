// SPDX-License-Identifier: Apache-2.0
#include "output/output.hpp"

#include <algorithm>
#include <ctime>

#include <poll.h>
#include <unistd.h>

#include <sys/eventfd.h>

namespace nightjar {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t default_queue_bytes = 16ULL << 20;
constexpr std::uint64_t default_spool_bytes = 256ULL << 20;
constexpr std::uint64_t default_drain_s = 5;
/// The stream's own events that may wait for room. Were they lost like others, so were the losses that they tell of.
constexpr std::uint64_t reports_at_most = 1ULL << 20;
constexpr milliseconds first_pause{100};
constexpr milliseconds longest_pause{10'000};
constexpr milliseconds idle_wait{1000};  // a spool is synced this often

std::int64_t unix_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

Result<std::unique_ptr<Spool>> open_spool(const OutputSpec& spec) {
  SpoolSettings settings;
  settings.directory = spec.text("spool");
  settings.bytes_at_most = NIGHTJAR_TRY(spec.bytes("spool-size", default_spool_bytes));
  const std::string sync = spec.text("fsync", "1s");
  if (sync == "never") {
    settings.sync = SpoolSettings::Sync::never;
  } else if (sync == "batch") {
    settings.sync = SpoolSettings::Sync::every_batch;
  } else if (sync != "1s") {
    return Error(errc::invalid, "output " + spec.uri + ": fsync=" + sync + ": expected never, 1s or batch");
  }
  return Spool::open(std::move(settings));
}

}  // namespace

Output::Output(OutputSpec spec, std::unique_ptr<Sink> sink, Wanted wanted, LogSink log)
    : spec_(std::move(spec)), sink_(std::move(sink)), wanted_(std::move(wanted)), log_(std::move(log)) {}

Output::~Output() {
  (void)close();
}

bool Output::Wanted::takes(const Line& line) const {
  if (event_info(line.kind).family == "sensor") return kinds.empty() || kinds.contains(line.kind);
  return (kinds.empty() || kinds.contains(line.kind)) && (rules.empty() || rules.contains(line.rule));
}

Result<std::unique_ptr<Output>> Output::open(const OutputSpec& spec, const SinkContext& context, Wanted wanted) {
  auto sink = NIGHTJAR_TRY(open_sink(spec, context));
  std::unique_ptr<Output> output(new Output(spec, std::move(sink), std::move(wanted), context.log));
  output->queue_bytes_at_most_ = NIGHTJAR_TRY(spec.bytes("queue", default_queue_bytes));
  output->drain_ = seconds(NIGHTJAR_TRY(spec.seconds("drain", default_drain_s)));
  // As any program in a pipeline: it ends when its reader has read all.
  output->drains_for_ever_ = spec.scheme == "-" && spec.text("drain").empty();
  if (!spec.text("spool").empty()) output->spool_ = NIGHTJAR_TRY(open_spool(spec));
  if (output->direct()) return output;
  output->wakeup_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!output->wakeup_.valid()) return Error::from_errno("eventfd");
  return output;
}

void Output::start() {
  if (!direct() && !thread_.joinable()) thread_ = std::thread([this] { work(); });
}

// ---- The reader's side ----

Result<> Output::write(const std::shared_ptr<const Batch>& batch, std::uint64_t ticket) {
  if (batch->empty()) return {};
  if (dead_) {
    const std::lock_guard guard(mutex_);
    refuse(*batch, 0, "output_failed");
    return fatal_ ? Result<>(*fatal_) : Result<>();
  }
  if (!reports_.empty()) NIGHTJAR_CHECK(put(std::make_shared<const Batch>(std::exchange(reports_, Batch{})), ticket));
  return put(batch, ticket);
}

/// What is refused of the stream's own events is in reports_ again.
Result<> Output::put(const std::shared_ptr<const Batch>& batch, std::uint64_t ticket) {
  if (spool_) return write_to_spool(*batch);
  if (direct()) return write_direct(*batch);
  {
    const std::lock_guard guard(mutex_);
    if (queue_bytes_ + batch->text.size() > queue_bytes_at_most_ && !queue_.empty()) {
      refuse(*batch, 0, "queue_full");
      return {};
    }
    queue_.push_back({batch, 0, ticket});
    queue_bytes_ += batch->text.size();
    queue_lines_ += batch->lines.size();
  }
  wake();
  return {};
}

Result<> Output::write_direct(const Batch& batch) {
  const Delivery delivery = sink_->deliver(batch, 0);
  delivered_ += delivery.lines;
  if (!delivery.trouble) {
    if (failing_.exchange(false) && log_) log_(LogLevel::warning, "output " + spec_.uri + ": works again");
    return {};
  }
  ++failures_;
  const std::lock_guard guard(mutex_);
  refuse(batch, delivery.lines, "write_failed");
  if (delivery.fatal) {
    dead_ = true;
    fatal_ = delivery.trouble;
    return *delivery.trouble;
  }
  if (!failing_.exchange(true) && log_) log_(LogLevel::warning, to_string(*delivery.trouble));
  return {};
}

Result<> Output::write_to_spool(const Batch& batch) {
  auto room = spool_->append(batch);
  if (room && *room) {
    wake();
    return {};
  }
  const std::lock_guard guard(mutex_);
  refuse(batch, 0, room ? "spool_full" : "spool_failed");
  if (!room) warn_once(to_string(room.error()));
  return {};
}

void Output::wake() const {
  const std::uint64_t one = 1;
  (void)!::write(wakeup_.get(), &one, sizeof one);
}

void Output::refuse(const Batch& batch, std::size_t from, std::string_view reason) {
  Tally tally;
  for (std::size_t i = from; i < batch.lines.size(); ++i) {
    const Kind kind = batch.lines[i].kind;
    const bool waits =
        !dead_ && event_info(kind).family == "sensor" && reports_.text.size() + batch.line(i).size() <= reports_at_most;
    if (waits) {
      reports_.add(kind, batch.line(i));
    } else {
      ++tally[kind];
    }
  }
  for (const auto& [kind, count] : tally) lose(event_info(kind).action, reason, count);
}

void Output::lose(std::string_view what, std::string_view reason, std::uint64_t count) {
  const std::int64_t now = unix_now_ns();
  OutputLoss& loss = losses_[{what, reason}];
  if (loss.count == 0) loss = {what, reason, 0, now, now};
  loss.count += count;
  loss.last_ns = now;
  lost_in_all_ += count;
  warn_once("output " + spec_.uri + ": events are lost: " + std::string(reason));
}

/// Until the output works again.
void Output::warn_once(const std::string& text) {
  if (!std::exchange(loss_warned_, true) && log_) log_(LogLevel::warning, text);
}

std::uint64_t Output::settled() {
  const std::lock_guard guard(mutex_);
  return queue_.empty() ? UINT64_MAX : queue_.front().ticket - 1;
}

std::vector<OutputLoss> Output::take_losses(bool at_the_end) {
  const std::lock_guard guard(mutex_);
  std::vector<OutputLoss> losses;
  // So many reports wait that they are made of larger sums, until there is room or the stream ends.
  if (!at_the_end && !dead_ && reports_.text.size() > reports_at_most / 2) return losses;
  for (const auto& [key, loss] : losses_) losses.push_back(loss);
  losses_.clear();
  return losses;
}

OutputStats Output::stats() {
  const std::lock_guard guard(mutex_);
  OutputStats stats;
  stats.uri = spec_.uri;
  stats.delivered = delivered_;
  stats.lost = lost_in_all_;
  stats.failures = failures_;
  stats.failing = failing_ || dead_;
  stats.queue_bytes = queue_bytes_;
  stats.waiting = spool_ ? spool_->waiting() : queue_lines_;
  stats.spool_bytes = spool_ ? spool_->bytes() : 0;
  return stats;
}

Result<> Output::close() {
  if (std::exchange(closed_, true)) return {};
  if (!reports_.empty() && !dead_) {
    const auto reports = std::make_shared<const Batch>(std::exchange(reports_, Batch{}));
    if (spool_ || direct()) {
      (void)put(reports, 0);
    } else {
      const std::lock_guard guard(mutex_);
      queue_.push_back({reports, 0, UINT64_MAX});
      queue_bytes_ += reports->text.size();
      queue_lines_ += reports->lines.size();
    }
  }
  if (thread_.joinable()) {
    {
      const std::lock_guard guard(mutex_);
      deadline_ = Clock::now() + drain_;
      if (!drains_for_ever_) sink_->end_by(deadline_);
    }
    stopping_ = true;
    wake();
    thread_.join();
  }
  // What found no room to the end, such as on a disk that is full.
  std::size_t told = 0;
  while (!dead_ && told < reports_.lines.size() && (!spool_ || spool_->waiting() == 0)) {
    const Delivery delivery = sink_->deliver(reports_, told);
    if (delivery.lines == 0) break;
    told += delivery.lines;
  }
  Result<> closed = sink_->close();
  const std::lock_guard guard(mutex_);
  if (spool_) {
    if (auto synced = spool_->sync(); !synced && closed) closed = std::move(synced);
    if (spool_->waiting() != 0 && log_ && !std::exchange(loss_warned_, true))
      log_(LogLevel::warning, "output " + spec_.uri + ": " + std::to_string(spool_->waiting()) +
                                  " events wait in the spool for the next start");
  }
  std::uint64_t left = reports_.lines.size() - told;
  for (const Waiting& waiting : queue_) left += waiting.batch->lines.size() - waiting.from;
  queue_.clear();
  if (left != 0) {
    lost_in_all_ += left;
    if (log_)
      log_(LogLevel::warning, "output " + spec_.uri + ": " + std::to_string(left) + " events were not delivered: lost");
  }
  if (fatal_ && closed) return *fatal_;
  return closed;
}

// ---- The thread's side ----

void Output::work() {
  auto next_sync = Clock::now() + idle_wait;
  for (;;) {
    const bool did = !dead_ && deliver_next();
    if (spool_ && Clock::now() >= next_sync) {
      next_sync = Clock::now() + idle_wait;
      if (auto synced = spool_->sync(); !synced) {
        const std::lock_guard guard(mutex_);
        warn_once(to_string(synced.error()));
      }
    }
    if (stopping_) {
      const std::lock_guard guard(mutex_);
      const bool nothing = spool_ ? !did && pause_.count() == 0 : queue_.empty();
      if (nothing || dead_ || (!drains_for_ever_ && Clock::now() >= deadline_)) return;
    }
    if (pause_.count() != 0) {
      wait(stopping_ ? std::min(pause_, first_pause) : pause_);
    } else if (!did) {
      wait(idle_wait);
    }
    sink_->idle();
  }
}

bool Output::deliver_next() {
  if (spool_) {
    auto next = spool_->next();
    if (!next) {
      Delivery none;
      none.trouble = std::move(next).error();
      after(none);
      return false;
    }
    if (next->missing != 0) {
      const std::lock_guard guard(mutex_);
      lose("unknown", "spool_damaged", next->missing);
    }
    if (next->batch.empty()) return false;
    Delivery delivery = sink_->deliver(next->batch, 0);
    if (auto remembered = spool_->done(delivery.lines); !remembered && !delivery.trouble)
      delivery.trouble = std::move(remembered).error();
    after(delivery);
    return true;
  }
  Waiting first;
  {
    const std::lock_guard guard(mutex_);
    if (queue_.empty()) return false;
    first = queue_.front();
  }
  const Delivery delivery = sink_->deliver(*first.batch, first.from);
  {
    const std::lock_guard guard(mutex_);
    Waiting& waiting = queue_.front();
    waiting.from += delivery.lines;
    queue_lines_ -= delivery.lines;
    if (waiting.from == waiting.batch->lines.size()) {
      queue_bytes_ -= waiting.batch->text.size();
      queue_.pop_front();
    }
  }
  after(delivery);
  return true;
}

void Output::after(const Delivery& delivery) {
  std::uint64_t refused = 0;
  const std::lock_guard guard(mutex_);
  for (const auto& [kind, count] : delivery.refused) {
    lose(event_info(kind).action, delivery.reason, count);
    refused += count;
  }
  delivered_ += delivery.lines - std::min<std::uint64_t>(refused, delivery.lines);
  if (!delivery.trouble) {
    pause_ = milliseconds(0);
    if (refused == 0) loss_warned_ = false;
    if (failing_.exchange(false) && log_) log_(LogLevel::warning, "output " + spec_.uri + ": works again");
    return;
  }
  ++failures_;
  if (delivery.fatal) {
    dead_ = true;
    fatal_ = delivery.trouble;
    return;
  }
  pause_ = delivery.lines != 0 || pause_.count() == 0 ? first_pause : std::min(pause_ * 2, longest_pause);
  // A reader that is merely slow is no news until events are lost.
  if (delivery.trouble->code() != errc::busy && !failing_.exchange(true) && log_)
    log_(LogLevel::warning, "output " + spec_.uri + ": " + to_string(*delivery.trouble) + "; trying again");
}

void Output::wait(milliseconds at_most) {
  pollfd fds[] = {{wakeup_.get(), POLLIN, 0}, {sink_->fd(), POLLIN, 0}};
  // While the other side fails, new events are no reason to try earlier; that it can be reached, or the end, is.
  if (pause_.count() != 0 && !stopping_) fds[0].fd = -1;
  (void)poll(fds, 2, static_cast<int>(at_most.count()));
  std::uint64_t count = 0;
  if (fds[0].fd >= 0) (void)!read(wakeup_.get(), &count, sizeof count);
}

}  // namespace nightjar
