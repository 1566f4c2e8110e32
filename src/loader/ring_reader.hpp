// SPDX-License-Identifier: Apache-2.0
// A ring buffer, read by ourselves: libbpf's reader gives each record back at once, which --pin must not, and maps the
// data twice, which counts twice as the memory of this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {

class RingReader {
 public:
  /// Begins where the last reader of the map let go. `holds`: records stay in the kernel until release().
  static Result<RingReader> open(int map_fd, std::size_t bytes, bool holds);
  RingReader(RingReader&& other) noexcept;
  RingReader& operator=(RingReader&&) = delete;
  RingReader(const RingReader&) = delete;
  RingReader& operator=(const RingReader&) = delete;
  ~RingReader();

  /// Gives record after record, with its position, until `visit` answers false or none is complete; what it gives is
  /// there until the visit ends. Fails with corrupt.
  Result<> consume(const std::function<bool(std::uint64_t position, std::span<const std::byte> record)>& visit);
  /// Everything before `position` may be overwritten.
  void release(std::uint64_t position);
  [[nodiscard]] bool holds() const { return holds_; }
  /// Where reading goes on.
  [[nodiscard]] std::uint64_t position() const { return position_; }
  [[nodiscard]] std::uint64_t released() const;
  [[nodiscard]] int epoll_fd() const { return epoll_.get(); }

 private:
  RingReader() = default;
  [[nodiscard]] std::span<const std::byte> record_at(std::size_t offset, std::size_t size);

  std::size_t bytes_ = 0, page_ = 0;
  std::byte* consumer_ = nullptr;  ///< one page: the consumer's position
  std::byte* producer_ = nullptr;  ///< one page: the producer's position; then the data
  std::uint64_t position_ = 0;
  bool holds_ = false;
  std::vector<std::uint64_t> whole_;  ///< a record that the buffer's end cuts in two
  UniqueFd epoll_;
};

}  // namespace nightjar
