// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "nightjar/api.hpp"
#include "nightjar/map.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// The values of an array map in this process's own memory: reading and writing them needs no system call.
///
/// That is more than speed. Every bpf(2) call on a map's elements raises bpf_prog_active on its CPU
/// (bpf_disable_instrumentation, include/linux/bpf.h), and the kernel skips kprobe and perf tracepoint programs there
/// until it is lowered. Where a task can be preempted in the kernel, a reader of counters that is preempted in such a
/// call makes the programs blind for every task that runs on the CPU meanwhile. What is looked at again and again
/// belongs in such an array.
///
/// Needs a map of type BPF_MAP_TYPE_ARRAY with BPF_F_MMAPABLE (kernel 5.5, commit fc9702273e2e). Values are shared with
/// the programs: whoever reads one that a program writes meanwhile sees any mixture, a word at a time. Safe from
/// several threads as far as the values are.
class NIGHTJAR_API MappedArray {
 public:
  /// `map` need not outlive it. Fails with unsupported: this map is no array, or was made without BPF_F_MMAPABLE.
  [[nodiscard]] static Result<MappedArray> of(const Map& map);

  MappedArray(MappedArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        bytes_(other.bytes_),
        stride_(other.stride_),
        entries_(other.entries_) {}
  MappedArray& operator=(MappedArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(stride_, other.stride_);
    std::swap(entries_, other.entries_);
    return *this;
  }
  MappedArray(const MappedArray&) = delete;
  MappedArray& operator=(const MappedArray&) = delete;
  ~MappedArray();

  [[nodiscard]] std::uint32_t entries() const { return entries_; }
  /// Bytes from one value to the next: the value's size rounded up to 8.
  [[nodiscard]] std::size_t stride() const { return stride_; }

  /// The value at `index`, which must be less than entries(). V has at most stride() bytes.
  template <class V>
  [[nodiscard]] V* at(std::uint32_t index) const {
    static_assert(std::is_trivially_copyable_v<V> && alignof(V) <= 8);
    return reinterpret_cast<V*>(data_ + std::size_t{index} * stride_);  // NOLINT: memory that the kernel filled
  }

 private:
  MappedArray(std::byte* data, std::size_t bytes, std::size_t stride, std::uint32_t entries)
      : data_(data), bytes_(bytes), stride_(stride), entries_(entries) {}

  std::byte* data_;
  std::size_t bytes_, stride_;
  std::uint32_t entries_;
};

}  // namespace nightjar
