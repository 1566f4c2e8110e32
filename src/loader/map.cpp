// SPDX-License-Identifier: Apache-2.0
#include "nightjar/map.hpp"

#include <cerrno>
#include <utility>

#include <fcntl.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "libbpf_log.hpp"

namespace nightjar {
namespace {

bool is_per_cpu(std::uint32_t type) {
  return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

Error wrong_size(const std::string& map, const char* which, std::size_t given, std::size_t wanted) {
  return {errc::invalid, "map " + map + ": the " + which + " has " + std::to_string(given) + " bytes, the map's has " +
                             std::to_string(wanted)};
}

Error failed(const std::string& map, const char* call) {
  return Error::from_errno("map " + map + ": " + call);
}

}  // namespace

unsigned possible_cpus() {
  const LibbpfCapture quiet;
  const int count = ::libbpf_num_possible_cpus();
  return count > 0 ? static_cast<unsigned>(count) : 1;
}

Map::Map(std::string name, UniqueFd fd, std::uint32_t type, std::uint32_t key_size, std::uint32_t value_size,
         std::uint32_t max_entries)
    : name_(std::move(name)),
      fd_(std::move(fd)),
      type_(type),
      key_size_(key_size),
      value_size_(value_size),
      max_entries_(max_entries) {}

std::size_t Map::value_bytes() const {
  if (!is_per_cpu(type_)) return value_size_;
  return (std::size_t{value_size_} + 7) / 8 * 8 * possible_cpus();
}

Result<Map> Map::duplicate() const {
  UniqueFd copy(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return failed(name_, "duplicate");
  return Map(name_, std::move(copy), type_, key_size_, value_size_, max_entries_);
}

Result<> Map::get(std::span<const std::byte> key, std::span<std::byte> value) const {
  if (key.size() != key_size_) return wrong_size(name_, "key", key.size(), key_size_);
  if (const std::size_t wanted = value_bytes(); value.size() != wanted) {
    return wrong_size(name_, "value", value.size(), wanted);
  }
  if (::bpf_map_lookup_elem(fd_.get(), key.data(), value.data()) != 0) return failed(name_, "get");
  return {};
}

Result<> Map::set(std::span<const std::byte> key, std::span<const std::byte> value, std::uint64_t flags) const {
  if (key.size() != key_size_) return wrong_size(name_, "key", key.size(), key_size_);
  if (const std::size_t wanted = value_bytes(); value.size() != wanted) {
    return wrong_size(name_, "value", value.size(), wanted);
  }
  if (::bpf_map_update_elem(fd_.get(), key.data(), value.data(), flags) != 0) return failed(name_, "set");
  return {};
}

Result<> Map::erase(std::span<const std::byte> key) const {
  if (key.size() != key_size_) return wrong_size(name_, "key", key.size(), key_size_);
  if (::bpf_map_delete_elem(fd_.get(), key.data()) != 0) return failed(name_, "erase");
  return {};
}

Result<> Map::for_each_key(const std::function<bool(std::span<const std::byte>)>& visit) const {
  if (key_size_ == 0) return Error(errc::invalid, "map " + name_ + ": a map of this type has no keys");
  std::vector<std::byte> key(key_size_);
  std::vector<std::byte> next(key_size_);
  // The next key is fetched before the visit, so that the visitor may erase the key it sees: asking for the successor
  // of an erased key would start again from the first.
  const void* from = nullptr;
  if (::bpf_map_get_next_key(fd_.get(), from, key.data()) != 0) {
    if (errno == ENOENT) return {};
    return failed(name_, "first key");
  }
  for (;;) {
    const int error = ::bpf_map_get_next_key(fd_.get(), key.data(), next.data()) == 0 ? 0 : errno;
    if (!visit(key)) return {};
    if (error == ENOENT) return {};
    if (error != 0) return Error::from_errno("map " + name_ + ": next key", error);
    key.swap(next);
  }
}

}  // namespace nightjar
