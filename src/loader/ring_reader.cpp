// SPDX-License-Identifier: Apache-2.0
#include "ring_reader.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include <unistd.h>

#include <linux/bpf.h>
#include <sys/epoll.h>
#include <sys/mman.h>

namespace nightjar {
namespace {

std::uint64_t load(const std::byte* at) {
  // atomic_ref of a const object comes with C++26.
  auto& word = *reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(at));
  return std::atomic_ref(word).load(std::memory_order_acquire);
}

std::byte* map_pages(int fd, std::size_t bytes, int protection, std::size_t offset) {
  void* pages = ::mmap(nullptr, bytes, protection, MAP_SHARED, fd, static_cast<off_t>(offset));
  return pages == MAP_FAILED ? nullptr : static_cast<std::byte*>(pages);
}

}  // namespace

Result<RingReader> RingReader::open(int map_fd, std::size_t bytes, bool holds) {
  RingReader ring;
  ring.holds_ = holds;
  ring.bytes_ = bytes;
  ring.page_ = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  ring.consumer_ = map_pages(map_fd, ring.page_, PROT_READ | PROT_WRITE, 0);
  if (ring.consumer_ == nullptr) return Error::from_errno("map the reader's page");
  // The kernel would show the data twice in a row, so that no record is cut in two: each page would count twice.
  ring.producer_ = map_pages(map_fd, ring.page_ + bytes, PROT_READ, ring.page_);
  if (ring.producer_ == nullptr) return Error::from_errno("map the records");
  ring.position_ = load(ring.consumer_);
  ring.epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event interest{};
  interest.events = EPOLLIN;
  // Edges: records that are held would make the descriptor readable all the time.
  if (holds) interest.events |= EPOLLET;
  if (!ring.epoll_.valid() || ::epoll_ctl(ring.epoll_.get(), EPOLL_CTL_ADD, map_fd, &interest) != 0)
    return Error::from_errno("wait for records");
  return ring;
}

RingReader::RingReader(RingReader&& other) noexcept
    : bytes_(other.bytes_),
      page_(other.page_),
      consumer_(std::exchange(other.consumer_, nullptr)),
      producer_(std::exchange(other.producer_, nullptr)),
      position_(other.position_),
      holds_(other.holds_),
      epoll_(std::move(other.epoll_)) {}

RingReader::~RingReader() {
  if (consumer_ != nullptr) ::munmap(consumer_, page_);
  if (producer_ != nullptr) ::munmap(producer_, page_ + bytes_);
}

Result<> RingReader::consume(
    const std::function<bool(std::uint64_t position, std::span<const std::byte> record)>& visit) {
  if (holds_) {
    // Before reading: a wakeup that comes while we read is an edge of its own.
    epoll_event event{};
    (void)::epoll_wait(epoll_.get(), &event, 1, 0);
  }
  for (;;) {
    const std::uint64_t end = load(producer_);
    if (position_ >= end) return {};
    const std::size_t offset = position_ & (bytes_ - 1);
    const std::byte* header = producer_ + page_ + offset;
    const auto word = std::atomic_ref(*reinterpret_cast<std::uint32_t*>(const_cast<std::byte*>(header)))
                          .load(std::memory_order_acquire);
    if ((word & BPF_RINGBUF_BUSY_BIT) != 0) return {};
    const std::size_t size = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
    const std::size_t taken = (size + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
    if (taken > end - position_)
      return Error(errc::corrupt, "a record of " + std::to_string(size) + " bytes, and fewer are there");
    const std::uint64_t here = std::exchange(position_, position_ + taken);
    if ((word & BPF_RINGBUF_DISCARD_BIT) == 0 && !visit(here, record_at(offset + BPF_RINGBUF_HDR_SZ, size))) {
      if (!holds_) release(position_);
      return {};
    }
    if (!holds_) release(position_);
  }
}

std::span<const std::byte> RingReader::record_at(std::size_t offset, std::size_t size) {
  const std::byte* data = producer_ + page_;
  if (offset + size <= bytes_) return {data + offset, size};
  whole_.resize((size + 7) / 8);
  auto* whole = reinterpret_cast<std::byte*>(whole_.data());
  const std::size_t before_end = bytes_ - offset;
  std::memcpy(whole, data + offset, before_end);
  std::memcpy(whole + before_end, data, size - before_end);
  return {whole, size};
}

void RingReader::release(std::uint64_t position) {
  std::atomic_ref(*reinterpret_cast<std::uint64_t*>(consumer_)).store(position, std::memory_order_release);
}

std::uint64_t RingReader::released() const {
  return load(consumer_);
}

}  // namespace nightjar
