// SPDX-License-Identifier: Apache-2.0
// A ring buffer whose records stay in the kernel until they are let go: libbpf's reader gives each back at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {

class HeldRing {
 public:
  /// Begins where the last reader of the map let go.
  static Result<HeldRing> open(int map_fd, std::size_t bytes);
  HeldRing(HeldRing&& other) noexcept;
  HeldRing& operator=(HeldRing&&) = delete;
  HeldRing(const HeldRing&) = delete;
  HeldRing& operator=(const HeldRing&) = delete;
  ~HeldRing();

  /// Gives record after record, with its position, until `visit` answers false or none is complete. Fails with corrupt.
  Result<> consume(const std::function<bool(std::uint64_t position, std::span<const std::byte> record)>& visit);
  /// Everything before `position` may be overwritten.
  void release(std::uint64_t position);
  /// Where reading goes on.
  [[nodiscard]] std::uint64_t position() const { return position_; }
  [[nodiscard]] std::uint64_t released() const;
  [[nodiscard]] int epoll_fd() const { return epoll_.get(); }

 private:
  HeldRing() = default;
  std::size_t bytes_ = 0, page_ = 0;
  std::byte* consumer_ = nullptr;  ///< one page: the consumer's position
  std::byte* producer_ = nullptr;  ///< one page: the producer's position; then the data, twice
  std::uint64_t position_ = 0;
  UniqueFd epoll_;
};

}  // namespace nightjar
