// SPDX-License-Identifier: Apache-2.0
#include "nightjar/event_source.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>

#include "handle.hpp"
#include "libbpf_log.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

using RingHandle = Handle<ring_buffer, ring_buffer__free>;
using PerfHandle = Handle<perf_buffer, perf_buffer__free>;

/// What ring_callback returns to stop. libbpf has then already moved the consumer past the record just given.
constexpr int ring_stop = -ECANCELED;

constexpr std::size_t default_bytes_per_cpu = std::size_t{1} << 20;

std::size_t page_size() {
  return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

struct EventSource::State {
  RingHandle ring;
  PerfHandle perf;
  Map map;  // keeps the buffer alive when the group goes
  std::size_t capacity = 0;
  std::size_t next_buffer = 0;  ///< perf: where the next consume() begins, so that no CPU starves the others
  std::uint64_t lost = 0;

  // While consume() runs:
  const std::function<Visit(const EventView&)>* visit = nullptr;
  std::size_t given = 0;
  bool stopped = false;

  explicit State(Map duplicate) : map(std::move(duplicate)) {}

  /// noexcept: a visitor that throws would unwind through libbpf, which must not be.
  Visit give(const EventView& event) noexcept {
    ++given;
    const Visit answer = (*visit)(event);
    stopped = answer == Visit::stop;
    return answer;
  }

  static int on_ring_record(void* context, void* data, std::size_t size) {
    auto& state = *static_cast<State*>(context);
    const EventView event{.bytes = {static_cast<const std::byte*>(data), size}, .cpu = std::nullopt};
    return state.give(event) == Visit::stop ? ring_stop : 0;
  }

  static bpf_perf_event_ret on_perf_record(void* context, int cpu, perf_event_header* header) {
    auto& state = *static_cast<State*>(context);
    const auto* record = reinterpret_cast<const std::byte*>(header);
    const std::size_t body = header->size - sizeof(*header);
    if (header->type == PERF_RECORD_SAMPLE) {
      std::uint32_t size = 0;
      if (body < sizeof(size)) return LIBBPF_PERF_EVENT_ERROR;
      std::memcpy(&size, record + sizeof(*header), sizeof(size));
      if (size > body - sizeof(size)) return LIBBPF_PERF_EVENT_ERROR;
      const EventView event{.bytes = {record + sizeof(*header) + sizeof(size), size},
                            .cpu = static_cast<unsigned>(cpu)};
      return state.give(event) == Visit::stop ? LIBBPF_PERF_EVENT_DONE : LIBBPF_PERF_EVENT_CONT;
    }
    if (header->type == PERF_RECORD_LOST) {
      struct {
        std::uint64_t id, lost;
      } lost{};
      if (body < sizeof(lost)) return LIBBPF_PERF_EVENT_ERROR;
      std::memcpy(&lost, record + sizeof(*header), sizeof(lost));
      state.lost += lost.lost;
    }
    return LIBBPF_PERF_EVENT_CONT;
  }
};

namespace {

Error open_failed(const Map& map, int sys, const LibbpfCapture& capture) {
  return Error::from_errno("open map " + map.name() + " for reading", sys).with_detail(capture.warnings());
}

}  // namespace

EventSource::EventSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
EventSource::EventSource(EventSource&&) noexcept = default;
EventSource& EventSource::operator=(EventSource&&) noexcept = default;
EventSource::~EventSource() = default;

Result<EventSource> EventSource::open(const Map& map, const EventSourceOptions& options) {
  if (map.type() != BPF_MAP_TYPE_RINGBUF && map.type() != BPF_MAP_TYPE_PERF_EVENT_ARRAY) {
    return Error(errc::invalid, "map " + map.name() + " is neither a ring buffer nor a perf event array");
  }
  LibbpfCapture capture;
  auto state = std::make_unique<State>(NIGHTJAR_TRY(map.duplicate()));
  if (map.type() == BPF_MAP_TYPE_RINGBUF) {
    state->ring.reset(::ring_buffer__new(state->map.fd(), State::on_ring_record, state.get(), nullptr));
    if (!state->ring) return open_failed(map, errno, capture);
    state->capacity = map.max_entries();
    return EventSource(std::move(state));
  }

  constexpr std::size_t largest = std::size_t{1} << 30;
  const std::size_t wanted = options.bytes_per_cpu == 0 ? default_bytes_per_cpu : options.bytes_per_cpu;
  if (wanted > largest) return Error(errc::invalid, "perf buffer: more than 1 GiB for each CPU");
  const std::size_t bytes = std::bit_ceil(std::max(wanted, page_size()));
  const std::size_t wakeup = options.wakeup_bytes == 0 ? bytes / 2 : std::min(options.wakeup_bytes, bytes / 2);
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_BPF_OUTPUT;
  attributes.sample_type = PERF_SAMPLE_RAW;
  attributes.sample_period = 1;
  attributes.watermark = 1;
  attributes.wakeup_watermark = static_cast<std::uint32_t>(wakeup);
  state->perf.reset(::perf_buffer__new_raw(state->map.fd(), bytes / page_size(), &attributes, State::on_perf_record,
                                           state.get(), nullptr));
  if (!state->perf) return open_failed(map, errno, capture);
  state->capacity = bytes * ::perf_buffer__buffer_cnt(state->perf.get());
  return EventSource(std::move(state));
}

int EventSource::fd() const {
  return state_->ring ? ::ring_buffer__epoll_fd(state_->ring.get()) : ::perf_buffer__epoll_fd(state_->perf.get());
}

Result<std::size_t> EventSource::consume(const std::function<Visit(const EventView&)>& visit) {
  LibbpfCapture capture;
  state_->visit = &visit;
  state_->given = 0;
  state_->stopped = false;

  if (state_->ring) {
    const int result = ::ring_buffer__consume(state_->ring.get());
    if (result < 0 && !state_->stopped) return Error::from_errno("read ring buffer " + state_->map.name(), -result);
    return state_->given;
  }

  const std::size_t buffers = ::perf_buffer__buffer_cnt(state_->perf.get());
  for (std::size_t done = 0; done < buffers; ++done) {
    const std::size_t index = (state_->next_buffer + done) % buffers;
    // DONE ends the loop over one buffer with its tail written just behind the record given: the rest stays in the
    // kernel's buffer for the next call.
    const int result = ::perf_buffer__consume_buffer(state_->perf.get(), index);
    if (state_->stopped) {
      state_->next_buffer = index + 1;
      return state_->given;
    }
    if (result < 0)
      return Error(errc::corrupt, "perf buffer " + state_->map.name() + " holds no sound record", -result);
  }
  return state_->given;
}

std::uint64_t EventSource::lost() const {
  return state_->lost;
}
std::size_t EventSource::capacity() const {
  return state_->capacity;
}
bool EventSource::is_ring_buffer() const {
  return state_->ring != nullptr;
}

}  // namespace nightjar
