// SPDX-License-Identifier: Apache-2.0
// Many entries of a map in one call, and what falls back to one by one where the kernel or the map's type cannot.
#include <algorithm>
#include <cerrno>

#include <bpf/bpf.h>

#include "nightjar/map.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

constexpr std::size_t entries_in_batch = 256;
/// Of the kernel's bpf_map_lookup_batch: what stands for the place in the map is a key or a bucket's number.
constexpr std::size_t least_token = sizeof(std::uint32_t);

/// A kernel that does not know the command says EINVAL; a type without the operation ENOTSUPP.
bool has_no_batches(int sys) {
  return sys == EINVAL || sys == ENOSYS || sys == EOPNOTSUPP || sys == text::kernel_enotsupp;
}

/// One piece of `bytes` for each entry.
std::span<const std::byte> entry(std::span<const std::byte> bytes, std::size_t index, std::size_t size) {
  return bytes.subspan(index * size, size);
}

}  // namespace

Result<> Map::check_sizes(std::size_t key, std::size_t value) const {
  if (key == key_size_ && value == value_bytes()) return {};
  return Error(errc::invalid, "map " + name_ + ": keys and values have " + std::to_string(key_size_) + " and " +
                                  std::to_string(value_bytes()) + " bytes, the types asked for " + std::to_string(key) +
                                  " and " + std::to_string(value));
}

Result<> Map::for_each_singly(
    const std::function<bool(std::span<const std::byte>, std::span<const std::byte>)>& visit) const {
  std::vector<std::byte> value(value_bytes());
  Result<> failed;
  NIGHTJAR_CHECK(for_each_key([&](std::span<const std::byte> key) {
    auto got = get(key, value);
    if (got) return visit(key, value);
    if (got.error().code() == errc::not_found) return true;  // erased meanwhile
    failed = std::move(got);
    return false;
  }));
  return failed;
}

Result<> Map::for_each(const std::function<bool(std::span<const std::byte>, std::span<const std::byte>)>& visit) const {
  const std::size_t value_size = value_bytes();
  std::size_t room = std::clamp<std::size_t>(max_entries_, 1, entries_in_batch);
  std::vector<std::byte> token(std::max<std::size_t>(key_size_, least_token));
  std::vector<std::byte> next = token;
  std::vector<std::byte> keys;
  std::vector<std::byte> values;
  for (bool first = true;;) {
    keys.resize(room * key_size_);
    values.resize(room * value_size);
    auto count = static_cast<std::uint32_t>(room);
    const int result = ::bpf_map_lookup_batch(fd_.get(), first ? nullptr : token.data(), next.data(), keys.data(),
                                              values.data(), &count, nullptr);
    const int sys = result == 0 ? 0 : errno;
    if (sys == ENOSPC && room < max_entries_) {  // one bucket of a hash holds more
      room = std::min<std::size_t>(room * 2, max_entries_);
      continue;
    }
    if (first && has_no_batches(sys)) return for_each_singly(visit);
    if (sys != 0 && sys != ENOENT) return Error::from_errno("map " + name_ + ": read a batch", sys);
    for (std::size_t index = 0; index < count; ++index) {
      if (!visit(entry(keys, index, key_size_), entry(values, index, value_size))) return {};
    }
    if (sys == ENOENT) return {};
    first = false;
    token.swap(next);
  }
}

Result<> Map::set_all(std::span<const std::byte> keys, std::span<const std::byte> values, Put put) const {
  const std::size_t value_size = value_bytes();
  if (key_size_ == 0 || keys.size() % key_size_ != 0 || values.size() != keys.size() / key_size_ * value_size) {
    return Error(errc::invalid, "map " + name_ + ": " + std::to_string(keys.size()) + " bytes of keys and " +
                                    std::to_string(values.size()) + " of values are not as many of both");
  }
  const std::size_t total = keys.size() / key_size_;
  if (total == 0) return {};
  bpf_map_batch_opts options{};
  options.sz = sizeof(options);
  options.elem_flags = static_cast<std::uint64_t>(put);
  auto done = static_cast<std::uint32_t>(total);
  if (::bpf_map_update_batch(fd_.get(), keys.data(), values.data(), &done, &options) == 0) return {};
  const int sys = errno;
  if (!has_no_batches(sys)) {
    return Error::from_errno(
        "map " + name_ + ": set " + std::to_string(total) + ", of which " + std::to_string(done) + " are set", sys);
  }
  for (std::size_t index = 0; index < total; ++index) {
    auto one = set(entry(keys, index, key_size_), entry(values, index, value_size), static_cast<std::uint64_t>(put));
    if (!one) return std::move(one).error().in(std::to_string(index) + " of " + std::to_string(total) + " are set");
  }
  return {};
}

Result<std::size_t> Map::erase_all(std::span<const std::byte> keys) const {
  if (key_size_ == 0 || keys.size() % key_size_ != 0) {
    return Error(errc::invalid, "map " + name_ + ": " + std::to_string(keys.size()) + " bytes are no whole keys");
  }
  // The kernel's batch ends at the first key that is absent, so it would not be simpler with it.
  std::size_t erased = 0;
  for (std::size_t offset = 0; offset < keys.size(); offset += key_size_) {
    auto one = erase(keys.subspan(offset, key_size_));
    if (one) {
      ++erased;
    } else if (one.error().code() != errc::not_found) {
      return std::move(one).error().in(std::to_string(erased) + " are erased");
    }
  }
  return erased;
}

}  // namespace nightjar
