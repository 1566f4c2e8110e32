// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <optional>
#include <vector>

#include "nightjar/map.hpp"
#include "nightjar/mapped_array.hpp"

namespace nightjar {

/// The values of an array that programs and agent share: in memory of both where the kernel can map it (5.5), else a
/// copy, brought up to date and written back by bpf(2).
class SharedArray {
 public:
  static Result<SharedArray> of(const Map& map) {
    auto mapped = MappedArray::of(map);
    if (mapped) return SharedArray(std::move(*mapped));
    if (mapped.error().code() != errc::unsupported) return std::move(mapped).error();
    return SharedArray(NIGHTJAR_TRY(map.duplicate()));
  }

  [[nodiscard]] std::uint32_t entries() const { return mapped_ ? mapped_->entries() : map_->max_entries(); }
  [[nodiscard]] bool is_copy() const { return !mapped_; }

  /// The value at `index`, which must be less than entries(). Of a copy: as of the last refresh().
  template <class V>
  [[nodiscard]] V* at(std::uint32_t index) {
    if (mapped_) return mapped_->at<V>(index);
    return reinterpret_cast<V*>(copy_.data() + std::size_t{index} * stride_ / 8);  // NOLINT: memory that was filled
  }
  /// A value that cannot be read keeps what it was.
  void refresh() {
    if (mapped_) return;
    (void)map_->for_each([this](std::span<const std::byte> key, std::span<const std::byte> value) {
      std::uint32_t index = 0;
      std::memcpy(&index, key.data(), sizeof index);
      if (index < entries()) std::memcpy(copy_.data() + std::size_t{index} * stride_ / 8, value.data(), value.size());
      return true;
    });
  }
  /// What was changed at `index`.
  [[nodiscard]] Result<> write_back(std::uint32_t index) {
    if (mapped_) return {};
    const auto* value = reinterpret_cast<const std::byte*>(at<std::uint64_t>(index));  // NOLINT
    return map_->set(std::as_bytes(std::span(&index, 1)), {value, map_->value_size()});
  }

 private:
  explicit SharedArray(MappedArray mapped) : mapped_(std::move(mapped)) {}
  explicit SharedArray(Map map)
      : map_(std::move(map)),
        stride_((std::size_t{map_->value_size()} + 7) / 8 * 8),
        copy_(stride_ / 8 * map_->max_entries()) {}

  std::optional<MappedArray> mapped_;
  std::optional<Map> map_;
  std::size_t stride_ = 0;
  std::vector<std::uint64_t> copy_;
};

}  // namespace nightjar
