// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "nightjar/api.hpp"
#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {

template <class K, class V>
class MapOf;

/// What the kernel tells of a map.
struct MapStats {
  std::uint32_t id = 0;
  std::uint64_t memory_bytes = 0;  ///< that the kernel charges for it; 0 where unknown
};

/// How set() treats what is there.
enum class Put : std::uint8_t { any = 0, only_new = 1, only_existing = 2 };

/// A key of an LPM trie: the first `prefix_bits` of `data` count. N is 4 for IPv4 and 16 for IPv6 addresses.
template <std::size_t N>
struct LpmKey {
  std::uint32_t prefix_bits = 0;
  std::array<std::uint8_t, N> data{};
};

/// An open BPF map. Owns its own descriptor, so it may outlive the group it came from. Calls are system calls, safe
/// from several threads.
class NIGHTJAR_API Map {
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
  /// A new map of the caller's own, which no program uses; `flags` as bpf_map_create. Fails with denied, invalid, or
  /// unsupported.
  [[nodiscard]] static Result<Map> create(const std::string& name, std::uint32_t type, std::uint32_t key_size,
                                          std::uint32_t value_size, std::uint32_t max_entries, std::uint32_t flags = 0);
  /// A map by its descriptor; the kernel tells the rest. Fails with invalid when it is not a map's.
  [[nodiscard]] static Result<Map> from_fd(UniqueFd fd);
  /// The map that is pinned at `path`, under the name that it has in the kernel (15 characters at most). Fails with
  /// not_found, denied, or invalid: something else is pinned there.
  [[nodiscard]] static Result<Map> open_pinned(const std::string& path);
  /// Keeps the map alive, whatever becomes of this process, until the file is removed. `path` must be in a BPF file
  /// system, else invalid; busy when something is pinned there already.
  [[nodiscard]] Result<> pin(const std::string& path) const;
  [[nodiscard]] Result<MapStats> stats() const;

  /// Another descriptor of the same map, close-on-exec.
  [[nodiscard]] Result<Map> duplicate() const;
  /// The same under another name, for messages: the kernel keeps 15 characters of one.
  [[nodiscard]] Result<Map> renamed(std::string name) const;

  /// Spans must have exactly key_size() and value_bytes() bytes, else invalid. get: not_found when the key is
  /// absent. set: `flags` as bpf_map_update_elem (0 any, 1 must be new, 2 must exist).
  [[nodiscard]] Result<> get(std::span<const std::byte> key, std::span<std::byte> value) const;
  [[nodiscard]] Result<> set(std::span<const std::byte> key, std::span<const std::byte> value,
                             std::uint64_t flags = 0) const;
  [[nodiscard]] Result<> erase(std::span<const std::byte> key) const;
  /// Every key there is, in the kernel's order. A map that changes meanwhile may give a key twice or not at all.
  [[nodiscard]] Result<> for_each_key(const std::function<bool(std::span<const std::byte>)>& visit) const;

  /// Every key with its value, some hundred a call where the kernel can (5.6, by type), else one by one; ends when
  /// `visit` answers false. As for_each_key, it may miss or repeat what changes meanwhile.
  [[nodiscard]] Result<> for_each(
      const std::function<bool(std::span<const std::byte> key, std::span<const std::byte> value)>& visit) const;
  /// Sets as many as there are keys; both spans hold them one behind the other. Says how many were set before what
  /// failed. In batches where the kernel can.
  [[nodiscard]] Result<> set_all(std::span<const std::byte> keys, std::span<const std::byte> values,
                                 Put put = Put::any) const;
  /// Erases them all; a key that is absent is no failure. Returns how many were there.
  [[nodiscard]] Result<std::size_t> erase_all(std::span<const std::byte> keys) const;
  /// get() and erase() in one step, where the type has it (hash 5.14), else unsupported.
  [[nodiscard]] Result<> take(std::span<const std::byte> key, std::span<std::byte> value) const;

  /// Queues and stacks. push: busy when full. peek and pop: not_found when empty.
  [[nodiscard]] Result<> push(std::span<const std::byte> value) const;
  [[nodiscard]] Result<> peek(std::span<std::byte> value) const;
  [[nodiscard]] Result<> pop(std::span<std::byte> value) const;

  /// Program arrays: puts a program into a slot, for bpf_tail_call.
  [[nodiscard]] Result<> set_program(std::uint32_t slot, int program_fd) const;

  /// The same map with types. Fails with invalid when the sizes differ, or when it is a per-CPU map.
  template <class K, class V>
  [[nodiscard]] Result<MapOf<K, V>> as() const;

  template <class V>
  [[nodiscard]] Result<> push_value(const V& value) const {
    static_assert(std::is_trivially_copyable_v<V>);
    return push(std::as_bytes(std::span(&value, 1)));
  }
  template <class V>
  [[nodiscard]] Result<V> pop_value() const {
    static_assert(std::is_trivially_copyable_v<V>);
    V value{};
    NIGHTJAR_CHECK(pop(std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }

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
  [[nodiscard]] Result<> check_sizes(std::size_t key, std::size_t value) const;
  [[nodiscard]] Result<> for_each_singly(
      const std::function<bool(std::span<const std::byte>, std::span<const std::byte>)>& visit) const;

  std::string name_;
  UniqueFd fd_;
  std::uint32_t type_, key_size_, value_size_, max_entries_;
};

/// A map whose keys are K and values V: the sizes were compared once, in Map::as(). Owns a descriptor of its own. Safe
/// from several threads, as Map.
template <class K, class V>
class MapOf {
  static_assert(std::is_trivially_copyable_v<K> && std::is_trivially_copyable_v<V>);

 public:
  explicit MapOf(Map map) : map_(std::move(map)) {}
  [[nodiscard]] const Map& untyped() const { return map_; }

  /// not_found when the key is absent.
  [[nodiscard]] Result<V> get(const K& key) const { return map_.get<K, V>(key); }
  [[nodiscard]] Result<> set(const K& key, const V& value, Put put = Put::any) const {
    return map_.set(key, value, static_cast<std::uint64_t>(put));
  }
  [[nodiscard]] Result<> erase(const K& key) const { return map_.erase_key(key); }
  /// The value, which is in the map no more.
  [[nodiscard]] Result<V> take(const K& key) const {
    V value{};
    NIGHTJAR_CHECK(map_.take(bytes(key), std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  /// `visit(key, value)` answers whether to go on.
  template <class F>
  [[nodiscard]] Result<> for_each(F&& visit) const {
    return map_.for_each([&](std::span<const std::byte> key, std::span<const std::byte> value) {
      return visit(from<K>(key), from<V>(value));
    });
  }
  [[nodiscard]] Result<std::vector<std::pair<K, V>>> items() const {
    std::vector<std::pair<K, V>> all;
    NIGHTJAR_CHECK(for_each([&](const K& key, const V& value) {
      all.emplace_back(key, value);
      return true;
    }));
    return all;
  }
  /// As many keys as values, else invalid.
  [[nodiscard]] Result<> set_all(std::span<const K> keys, std::span<const V> values, Put put = Put::any) const {
    return map_.set_all(std::as_bytes(keys), std::as_bytes(values), put);
  }
  [[nodiscard]] Result<std::size_t> erase_all(std::span<const K> keys) const {
    return map_.erase_all(std::as_bytes(keys));
  }

 private:
  static std::span<const std::byte> bytes(const K& key) { return std::as_bytes(std::span(&key, 1)); }
  template <class T>
  static T from(std::span<const std::byte> raw) {
    T value{};
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  Map map_;
};

template <class K, class V>
Result<MapOf<K, V>> Map::as() const {
  NIGHTJAR_CHECK(check_sizes(sizeof(K), sizeof(V)));
  return MapOf<K, V>(NIGHTJAR_TRY(duplicate()));
}

/// Number of possible CPUs: the number of values in a per-CPU map.
NIGHTJAR_API unsigned possible_cpus();

}  // namespace nightjar
