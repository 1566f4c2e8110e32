// SPDX-License-Identifier: Apache-2.0
#include "nightjar/event_source.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/epoll.h>

#include "cpus.hpp"
#include "handle.hpp"
#include "libbpf_log.hpp"
#include "ring_reader.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

using PerfHandle = Handle<perf_buffer, perf_buffer__free>;

constexpr std::size_t default_bytes_per_cpu = std::size_t{1} << 20;
constexpr std::size_t largest_per_cpu = std::size_t{1} << 30;
constexpr auto cpus_are_looked_at_every = std::chrono::seconds(1);

std::size_t page_size() {
  return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

struct EventSource::State {
  /// A perf buffer of one CPU; libbpf's for all CPUs could not grow when one comes online.
  struct CpuBuffer {
    unsigned cpu;
    PerfHandle perf;
    std::uint64_t lost = 0;
    bool is_gone = false;  ///< the CPU went offline: the kernel will write no more
  };

  Map map;  // keeps the buffer alive when the group goes
  std::optional<RingReader> ring;
  UniqueFd epoll;                                   ///< perf: over the buffers' own
  std::vector<std::unique_ptr<CpuBuffer>> buffers;  ///< perf, by CPU; their addresses do not change
  std::size_t bytes_per_cpu = 0;
  std::size_t wakeup_bytes = 0;
  std::string rounding;
  std::size_t next_buffer = 0;  ///< perf: where the next consume() begins, so that no CPU starves the others
  std::uint64_t lost_on_closed = 0;
  std::chrono::steady_clock::time_point cpus_looked_at{};
  LogSink log;
  bool warned = false;

  // While consume() runs:
  const std::function<Visit(const EventView&)>* visit = nullptr;
  CpuBuffer* reading = nullptr;
  std::size_t given = 0;
  bool stopped = false;

  explicit State(Map duplicate) : map(std::move(duplicate)) {}

  [[nodiscard]] bool holds() const { return ring && ring->holds(); }

  /// noexcept: a visitor that throws would unwind through libbpf, which must not be.
  Visit give(const EventView& event) noexcept {
    if (event.lost == 0) ++given;
    const Visit answer = (*visit)(event);
    stopped = answer == Visit::stop;
    return answer;
  }

  bpf_perf_event_ret give_perf(const EventView& event) {
    return give(event) == Visit::stop ? LIBBPF_PERF_EVENT_DONE : LIBBPF_PERF_EVENT_CONT;
  }

  static bpf_perf_event_ret on_perf_record(void* context, int /*cpu*/, perf_event_header* header) {
    auto& state = *static_cast<State*>(context);
    const unsigned cpu = state.reading->cpu;
    const auto* record = reinterpret_cast<const std::byte*>(header);
    const std::size_t body = header->size - sizeof(*header);
    if (header->type == PERF_RECORD_SAMPLE) {
      std::uint32_t size = 0;
      if (body < sizeof(size)) return LIBBPF_PERF_EVENT_ERROR;
      std::memcpy(&size, record + sizeof(*header), sizeof(size));
      if (size > body - sizeof(size)) return LIBBPF_PERF_EVENT_ERROR;
      return state.give_perf(
          {.bytes = {record + sizeof(*header) + sizeof(size), size}, .cpu = cpu, .map = state.map.name()});
    }
    if (header->type == PERF_RECORD_LOST) {
      struct {
        std::uint64_t id, lost;
      } lost{};
      if (body < sizeof(lost)) return LIBBPF_PERF_EVENT_ERROR;
      std::memcpy(&lost, record + sizeof(*header), sizeof(lost));
      state.reading->lost += lost.lost;
      return state.give_perf({.bytes = {}, .cpu = cpu, .map = state.map.name(), .lost = lost.lost});
    }
    return LIBBPF_PERF_EVENT_CONT;
  }

  Result<> set_size(const EventSourceOptions& options, std::size_t cpus);
  Result<> open_cpu(unsigned cpu);
};

namespace {

Error open_failed(const Map& map, int sys, const LibbpfCapture& capture) {
  return Error::from_errno("open map " + map.name() + " for reading", sys).with_detail(capture.warnings());
}

}  // namespace

Result<> EventSource::State::set_size(const EventSourceOptions& options, std::size_t cpus) {
  const std::size_t page = page_size();
  std::size_t wanted = options.bytes_per_cpu == 0 ? default_bytes_per_cpu : options.bytes_per_cpu;
  if (options.bytes_in_total != 0) wanted = options.bytes_in_total / cpus;
  if (wanted > largest_per_cpu)
    return Error(errc::invalid, "perf buffer " + map.name() + ": more than 1 GiB for each CPU");
  // A total must not be exceeded; what a CPU was promised it gets.
  bytes_per_cpu = options.bytes_in_total != 0 ? std::bit_floor(wanted) : std::bit_ceil(wanted);
  bytes_per_cpu = std::max(bytes_per_cpu, page);
  if (bytes_per_cpu != wanted || (options.bytes_in_total != 0 && bytes_per_cpu * cpus != options.bytes_in_total)) {
    rounding = "perf buffer " + map.name() + ": asked for " +
               (options.bytes_in_total != 0
                    ? std::to_string(options.bytes_in_total) + " bytes on " + std::to_string(cpus) + " CPUs"
                    : std::to_string(wanted) + " bytes for each CPU") +
               ", took " + std::to_string(bytes_per_cpu) + " for each (a power of two of pages)";
  }
  wakeup_bytes = options.wakeup_bytes == 0 ? bytes_per_cpu / 2 : std::min(options.wakeup_bytes, bytes_per_cpu / 2);
  return {};
}

Result<> EventSource::State::open_cpu(unsigned cpu) {
  const LibbpfCapture capture;
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_BPF_OUTPUT;
  attributes.sample_type = PERF_SAMPLE_RAW;
  attributes.sample_period = 1;
  attributes.watermark = 1;
  attributes.wakeup_watermark = static_cast<std::uint32_t>(wakeup_bytes);
  int number = static_cast<int>(cpu);
  perf_buffer_raw_opts options{};
  options.sz = sizeof(options);
  options.cpu_cnt = 1;
  options.cpus = &number;
  options.map_keys = &number;
  auto buffer = std::make_unique<CpuBuffer>(CpuBuffer{.cpu = cpu, .perf = nullptr});
  buffer->perf.reset(
      ::perf_buffer__new_raw(map.fd(), bytes_per_cpu / page_size(), &attributes, on_perf_record, this, &options));
  if (!buffer->perf) return open_failed(map, errno, capture);
  epoll_event interest{};
  interest.events = EPOLLIN;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, ::perf_buffer__epoll_fd(buffer->perf.get()), &interest) != 0) {
    return Error::from_errno("wait for map " + map.name());
  }
  const auto place = std::find_if(buffers.begin(), buffers.end(), [&](const auto& other) { return other->cpu > cpu; });
  buffers.insert(place, std::move(buffer));
  return {};
}

EventSource::EventSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
EventSource::EventSource(EventSource&&) noexcept = default;
EventSource& EventSource::operator=(EventSource&&) noexcept = default;
EventSource::~EventSource() = default;

Result<EventSource> EventSource::open(const Map& map, const EventSourceOptions& options) {
  if (map.type() != BPF_MAP_TYPE_RINGBUF && map.type() != BPF_MAP_TYPE_PERF_EVENT_ARRAY) {
    return Error(errc::invalid, "map " + map.name() + " is neither a ring buffer nor a perf event array");
  }
  auto state = std::make_unique<State>(NIGHTJAR_TRY(map.duplicate()));
  if (map.type() == BPF_MAP_TYPE_RINGBUF) {
    auto ring = RingReader::open(state->map.fd(), map.max_entries(), options.hold);
    if (!ring) return std::move(ring).error().in("open map " + map.name() + " for reading");
    state->ring.emplace(std::move(*ring));
    return EventSource(std::move(state));
  }

  state->log = options.log;
  const auto cpus = NIGHTJAR_TRY(online_cpus());
  NIGHTJAR_CHECK(state->set_size(options, cpus.size()));
  state->epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!state->epoll.valid()) return Error::from_errno("epoll");
  for (const unsigned cpu : cpus) {
    // A map with fewer entries than CPUs serves the first of them, as its programs do.
    if (cpu >= map.max_entries()) continue;
    auto buffer = state->open_cpu(cpu);
    if (!buffer && buffer.error().sys() != ENODEV) return std::move(buffer).error();  // else it went meanwhile
  }
  state->cpus_looked_at = std::chrono::steady_clock::now();
  return EventSource(std::move(state));
}

Result<std::size_t> EventSource::follow_cpus() {
  if (is_ring_buffer()) return std::size_t{0};
  state_->cpus_looked_at = std::chrono::steady_clock::now();
  const auto online = NIGHTJAR_TRY(online_cpus());
  // A buffer of a CPU that went is dead even when the CPU comes back: the kernel took its event off.
  std::erase_if(state_->buffers, [&](const auto& buffer) {
    const bool closes = buffer->is_gone;  // read to its end in the last round
    if (closes) state_->lost_on_closed += buffer->lost;
    buffer->is_gone = !std::binary_search(online.begin(), online.end(), buffer->cpu);
    return closes;
  });
  std::size_t opened = 0;
  for (const unsigned cpu : online) {
    const bool known = std::any_of(state_->buffers.begin(), state_->buffers.end(),
                                   [&](const auto& buffer) { return buffer->cpu == cpu; });
    if (known || cpu >= state_->map.max_entries()) continue;
    if (auto buffer = state_->open_cpu(cpu); buffer) {
      ++opened;
    } else if (buffer.error().sys() != ENODEV) {  // else it went again
      return std::move(buffer).error();
    }
  }
  return opened;
}

int EventSource::fd() const {
  return state_->ring ? state_->ring->epoll_fd() : state_->epoll.get();
}

Result<std::size_t> EventSource::consume(const std::function<Visit(const EventView&)>& visit) {
  const LibbpfCapture capture;
  state_->visit = &visit;
  state_->given = 0;
  state_->stopped = false;

  if (state_->ring) {
    const auto read = state_->ring->consume([&](std::uint64_t position, std::span<const std::byte> record) {
      const EventView event{.bytes = record,
                            .cpu = std::nullopt,
                            .map = state_->map.name(),
                            .lost = 0,
                            .position = state_->holds() ? position : 0};
      return state_->give(event) == Visit::go_on;
    });
    if (!read) return Error(read.error()).in("ring buffer " + state_->map.name());
    return state_->given;
  }
  if (std::chrono::steady_clock::now() - state_->cpus_looked_at > cpus_are_looked_at_every) {
    auto followed = follow_cpus();
    if (!followed && !std::exchange(state_->warned, true) && state_->log)
      state_->log(LogLevel::warning, "a CPU that came later has no buffer: " + to_string(followed.error()));
  }
  const std::size_t count = state_->buffers.size();
  for (std::size_t done = 0; done < count; ++done) {
    const std::size_t index = (state_->next_buffer + done) % count;
    state_->reading = state_->buffers[index].get();
    // DONE ends the loop over one buffer with its tail written just behind the record given: the rest stays in the
    // kernel's buffer for the next call.
    const int result = ::perf_buffer__consume_buffer(state_->reading->perf.get(), 0);
    if (state_->stopped) {
      state_->next_buffer = index + 1;
      return state_->given;
    }
    if (result < 0)
      return Error(errc::corrupt, "perf buffer " + state_->map.name() + " holds no sound record", -result);
  }
  return state_->given;
}

std::uint64_t EventSource::position() const {
  return state_->holds() ? state_->ring->position() : 0;
}
std::uint64_t EventSource::released() const {
  return state_->holds() ? state_->ring->released() : 0;
}
void EventSource::release(std::uint64_t position) {
  if (state_->holds()) state_->ring->release(position);
}

std::uint64_t EventSource::lost() const {
  std::uint64_t lost = state_->lost_on_closed;
  for (const auto& buffer : state_->buffers) lost += buffer->lost;
  return lost;
}

std::size_t EventSource::capacity() const {
  return is_ring_buffer() ? state_->map.max_entries() : state_->bytes_per_cpu * state_->buffers.size();
}

const std::string& EventSource::rounding() const {
  return state_->rounding;
}
bool EventSource::is_ring_buffer() const {
  return state_->ring.has_value();
}
const std::string& EventSource::map_name() const {
  return state_->map.name();
}

std::vector<EventSource::Buffer> EventSource::buffers() const {
  std::vector<Buffer> all;
  if (is_ring_buffer()) all.push_back({.cpu = std::nullopt, .bytes = state_->map.max_entries(), .lost = 0});
  for (const auto& buffer : state_->buffers) {
    all.push_back({.cpu = buffer->cpu, .bytes = state_->bytes_per_cpu, .lost = buffer->lost});
  }
  return all;
}

}  // namespace nightjar
