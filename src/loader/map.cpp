// SPDX-License-Identifier: Apache-2.0
#include "nightjar/map.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include <fcntl.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel_refusal.hpp"
#include "libbpf_log.hpp"
#include "pins.hpp"
#include "text.hpp"

namespace nightjar {
namespace {

bool is_per_cpu(std::uint32_t type) {
  return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
         type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

/// What the kernel counts for a map: the line "memlock:" of its descriptor's fdinfo.
std::uint64_t charged_bytes(int fd) {
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(fd));
  std::uint64_t bytes = 0;
  for (std::string word; info >> word;) {
    if (word == "memlock:" && info >> bytes) break;
  }
  return bytes;
}

Error wrong_size(const std::string& map, const char* which, std::size_t given, std::size_t wanted) {
  return {errc::invalid, "map " + map + ": the " + which + " has " + std::to_string(given) + " bytes, the map's has " +
                             std::to_string(wanted)};
}

Error failed(const std::string& map, const char* call) {
  return Error::from_errno("map " + map + ": " + call);
}

/// Kernels and map types that lack an operation answer with these, too.
Error not_for_this_map(const std::string& map, const char* call) {
  const int sys = errno;
  if (sys == EINVAL || sys == EOPNOTSUPP || sys == text::kernel_enotsupp) {
    return {errc::unsupported, "map " + map + ": " + call + ": not for maps of its type, on this kernel", sys};
  }
  return Error::from_errno("map " + map + ": " + call, sys);
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

Result<Map> Map::create(const std::string& name, std::uint32_t type, std::uint32_t key_size, std::uint32_t value_size,
                        std::uint32_t max_entries, std::uint32_t flags) {
  bpf_map_create_opts options{};
  options.sz = sizeof(options);
  options.map_flags = flags;
  const LibbpfCapture quiet;
  UniqueFd fd(::bpf_map_create(static_cast<bpf_map_type>(type), name.substr(0, BPF_OBJ_NAME_LEN - 1).c_str(), key_size,
                               value_size, max_entries, &options));
  if (!fd.valid()) return kernel_refused("create map " + name, errno);
  return Map(name, std::move(fd), type, key_size, value_size, max_entries);
}

Result<Map> Map::from_fd(UniqueFd fd) {
  bpf_map_info info{};
  std::uint32_t size = sizeof(info);
  if (::bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) {
    if (errno == EBADF || errno == EBADFD || errno == EINVAL)
      return Error(errc::invalid, "the descriptor is not a map's", errno);
    return Error::from_errno("info of a map");
  }
  std::string name(info.name, ::strnlen(info.name, sizeof(info.name)));
  return Map(std::move(name), std::move(fd), info.type, info.key_size, info.value_size, info.max_entries);
}

Result<Map> Map::open_pinned(const std::string& path) {
  UniqueFd fd = NIGHTJAR_TRY(pins::open(path));
  auto map = from_fd(std::move(fd));
  if (!map) return std::move(map).error().in("what is pinned at " + path);
  return map;
}

Result<> Map::pin(const std::string& path) const {
  auto pinned = pins::pin(fd_.get(), path);
  if (!pinned) return std::move(pinned).error().in("map " + name_);
  return {};
}

Result<MapStats> Map::stats() const {
  bpf_map_info info{};
  std::uint32_t size = sizeof(info);
  if (::bpf_obj_get_info_by_fd(fd_.get(), &info, &size) != 0) return failed(name_, "info");
  return MapStats{.id = info.id, .memory_bytes = charged_bytes(fd_.get())};
}

Result<> Map::take(std::span<const std::byte> key, std::span<std::byte> value) const {
  NIGHTJAR_CHECK(check_sizes(key.size(), value.size()));
  if (::bpf_map_lookup_and_delete_elem(fd_.get(), key.data(), value.data()) != 0)
    return not_for_this_map(name_, "take");
  return {};
}

Result<> Map::push(std::span<const std::byte> value) const {
  NIGHTJAR_CHECK(check_sizes(0, value.size()));
  if (::bpf_map_update_elem(fd_.get(), nullptr, value.data(), 0) == 0) return {};
  if (errno == E2BIG) return Error(errc::busy, "map " + name_ + ": full", E2BIG);
  return not_for_this_map(name_, "push");
}

Result<> Map::peek(std::span<std::byte> value) const {
  NIGHTJAR_CHECK(check_sizes(0, value.size()));
  if (::bpf_map_lookup_elem(fd_.get(), nullptr, value.data()) != 0) return not_for_this_map(name_, "peek");
  return {};
}

Result<> Map::pop(std::span<std::byte> value) const {
  NIGHTJAR_CHECK(check_sizes(0, value.size()));
  if (::bpf_map_lookup_and_delete_elem(fd_.get(), nullptr, value.data()) != 0) return not_for_this_map(name_, "pop");
  return {};
}

Result<> Map::set_program(std::uint32_t slot, int program_fd) const {
  if (type_ != BPF_MAP_TYPE_PROG_ARRAY) return Error(errc::invalid, "map " + name_ + " is no program array");
  return set(slot, program_fd);
}

Result<Map> Map::duplicate() const {
  return renamed(name_);
}

Result<Map> Map::renamed(std::string name) const {
  UniqueFd copy(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return failed(name_, "duplicate");
  return Map(std::move(name), std::move(copy), type_, key_size_, value_size_, max_entries_);
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
