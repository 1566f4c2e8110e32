// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {

/// An open BPF map. Owns its own descriptor, so it may outlive the group it came from. Calls are system calls, safe
/// from several threads.
class Map {
 public:
  Map(std::string name, UniqueFd fd, std::uint32_t type, std::uint32_t key_size, std::uint32_t value_size,
      std::uint32_t max_entries);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] std::uint32_t type() const { return type_; }
  [[nodiscard]] std::uint32_t key_size() const { return key_size_; }
  /// One value, for per-CPU maps on one CPU.
  [[nodiscard]] std::uint32_t value_size() const { return value_size_; }
  [[nodiscard]] std::uint32_t max_entries() const { return max_entries_; }
  /// Bytes that one value takes in a call: for per-CPU maps round_up(value, 8) times the possible CPUs.
  [[nodiscard]] std::size_t value_bytes() const;
  /// Another descriptor of the same map, close-on-exec.
  [[nodiscard]] Result<Map> duplicate() const;

  /// Spans must have exactly key_size() and value_bytes() bytes, else invalid. get: not_found when the key is
  /// absent. set: `flags` as bpf_map_update_elem (0 any, 1 must be new, 2 must exist).
  [[nodiscard]] Result<> get(std::span<const std::byte> key, std::span<std::byte> value) const;
  [[nodiscard]] Result<> set(std::span<const std::byte> key, std::span<const std::byte> value,
                             std::uint64_t flags = 0) const;
  [[nodiscard]] Result<> erase(std::span<const std::byte> key) const;
  /// Every key there is, in the kernel's order. A map that changes meanwhile may give a key twice or not at all.
  [[nodiscard]] Result<> for_each_key(const std::function<bool(std::span<const std::byte>)>& visit) const;

  template <class K, class V>
  [[nodiscard]] Result<V> get(const K& key) const {
    static_assert(std::is_trivially_copyable_v<K> && std::is_trivially_copyable_v<V>);
    V value{};
    NIGHTJAR_CHECK(get(std::as_bytes(std::span(&key, 1)), std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  /// One value for each possible CPU, in order.
  template <class K, class V>
  [[nodiscard]] Result<std::vector<V>> get_per_cpu(const K& key) const {
    static_assert(std::is_trivially_copyable_v<K> && std::is_trivially_copyable_v<V> && sizeof(V) % 8 == 0);
    std::vector<V> values(value_bytes() / sizeof(V));
    NIGHTJAR_CHECK(get(std::as_bytes(std::span(&key, 1)), std::as_writable_bytes(std::span(values))));
    return values;
  }
  template <class K, class V>
  [[nodiscard]] Result<> set(const K& key, const V& value, std::uint64_t flags = 0) const {
    static_assert(std::is_trivially_copyable_v<K> && std::is_trivially_copyable_v<V>);
    return set(std::as_bytes(std::span(&key, 1)), std::as_bytes(std::span(&value, 1)), flags);
  }
  template <class K>
  [[nodiscard]] Result<> erase_key(const K& key) const {
    static_assert(std::is_trivially_copyable_v<K>);
    return erase(std::as_bytes(std::span(&key, 1)));
  }

 private:
  std::string name_;
  UniqueFd fd_;
  std::uint32_t type_, key_size_, value_size_, max_entries_;
};

/// Number of possible CPUs: the number of values in a per-CPU map.
unsigned possible_cpus();

}  // namespace nightjar
