// SPDX-License-Identifier: Apache-2.0
#include "map_setup.hpp"

#include <algorithm>
#include <bit>
#include <optional>
#include <string_view>

#include <unistd.h>

#include <linux/bpf.h>

#include "text.hpp"

namespace nightjar {
namespace {

std::optional<Feature> feature_of(std::uint32_t map_type) {
  switch (map_type) {
    case BPF_MAP_TYPE_RINGBUF:
      return Feature::ring_buffer;
    case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
      return Feature::perf_buffer;
    case BPF_MAP_TYPE_TASK_STORAGE:
      return Feature::task_storage;
    default:
      return std::nullopt;
  }
}

Result<> checked(const std::string& name, const char* what, int result) {
  if (result == 0) return {};
  return Error::from_errno("map " + name + ": set " + what, -result);
}

/// What the kernel wants of a type that has no free choice of sizes.
Result<> set_type(bpf_map* map, const std::string& name, std::uint32_t type) {
  if (static_cast<std::uint32_t>(::bpf_map__type(map)) == type) return {};
  NIGHTJAR_CHECK(checked(name, "type", ::bpf_map__set_type(map, static_cast<bpf_map_type>(type))));
  if (type == BPF_MAP_TYPE_PERF_EVENT_ARRAY) {
    NIGHTJAR_CHECK(checked(name, "key size", ::bpf_map__set_key_size(map, sizeof(std::uint32_t))));
    NIGHTJAR_CHECK(checked(name, "value size", ::bpf_map__set_value_size(map, sizeof(std::uint32_t))));
    return checked(name, "entries", ::bpf_map__set_max_entries(map, 0));  // libbpf: one for each possible CPU
  }
  if (type == BPF_MAP_TYPE_RINGBUF) {
    NIGHTJAR_CHECK(checked(name, "key size", ::bpf_map__set_key_size(map, 0)));
    return checked(name, "value size", ::bpf_map__set_value_size(map, 0));
  }
  return {};
}

Result<> share(bpf_map* map, const std::string& name, const Map& open) {
  const auto type = static_cast<std::uint32_t>(::bpf_map__type(map));
  if (open.type() != type || open.key_size() != ::bpf_map__key_size(map) ||
      open.value_size() != ::bpf_map__value_size(map)) {
    return Error(errc::invalid, "map " + name + ": the shared map " + open.name() +
                                    " does not fit: another type, key size or value size");
  }
  const std::uint32_t entries = ::bpf_map__max_entries(map);
  if (entries != 0 && open.max_entries() < entries) {
    return Error(errc::invalid, "map " + name + ": the shared map " + open.name() + " does not fit: it has " +
                                    std::to_string(open.max_entries()) + " entries, not " + std::to_string(entries));
  }
  return checked(name, "shared map", ::bpf_map__reuse_fd(map, open.fd()));  // libbpf duplicates it
}

/// A ring buffer's size is a power of two of pages; the kernel refuses others.
std::uint32_t ring_buffer_size(const std::string& name, std::uint32_t wanted, std::vector<std::string>& remarks) {
  constexpr std::uint32_t largest = std::uint32_t{1} << 31;
  const auto page = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
  const std::uint32_t size = std::max(page, wanted > largest ? largest : std::bit_ceil(wanted));
  if (size != wanted) {
    remarks.push_back("ring buffer " + name + ": asked for " + std::to_string(wanted) + " bytes, took " +
                      std::to_string(size) + " (a power of two of pages)");
  }
  return size;
}

Result<> apply(bpf_map* map, const std::string& name, const MapSettings& settings, Features& features,
               std::vector<std::string>& remarks) {
  if (settings.type) NIGHTJAR_CHECK(set_type(map, name, *settings.type));
  if (settings.key_size) NIGHTJAR_CHECK(checked(name, "key size", ::bpf_map__set_key_size(map, *settings.key_size)));
  if (settings.value_size) {
    NIGHTJAR_CHECK(checked(name, "value size", ::bpf_map__set_value_size(map, *settings.value_size)));
  }
  // A perf event array always has one entry for each CPU; its users give entries for the ring buffer it may replace.
  if (settings.max_entries && ::bpf_map__type(map) != BPF_MAP_TYPE_PERF_EVENT_ARRAY) {
    std::uint32_t entries = *settings.max_entries;
    if (::bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF) entries = ring_buffer_size(name, entries, remarks);
    NIGHTJAR_CHECK(checked(name, "entries", ::bpf_map__set_max_entries(map, entries)));
  }
  if (settings.on_demand && ::bpf_map__type(map) == BPF_MAP_TYPE_HASH && features.has(Feature::on_demand_maps)) {
    const std::uint32_t flags = ::bpf_map__map_flags(map) | BPF_F_NO_PREALLOC;
    NIGHTJAR_CHECK(checked(name, "flags", ::bpf_map__set_map_flags(map, flags)));
  }
  if (settings.share != nullptr) return share(map, name, *settings.share);
  return {};
}

}  // namespace

Result<> set_up_maps(bpf_object* object, const GroupOptions& options, const std::set<std::string, std::less<>>& used,
                     Features& features, std::vector<std::string>& remarks) {
  bpf_map* map = nullptr;
  while ((map = ::bpf_object__next_map(object, map)) != nullptr) {
    const std::string name = ::bpf_map__name(map);
    if (::bpf_map__is_internal(map)) {
      // As libbpf does by itself on a kernel without: a program that uses one is then refused.
      if (features.pretends_without(Feature::global_data))
        NIGHTJAR_CHECK(checked(name, "autocreate", ::bpf_map__set_autocreate(map, false)));
      continue;
    }
    if (!used.contains(name) && ::bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS) {
      NIGHTJAR_CHECK(checked(name, "autocreate", ::bpf_map__set_autocreate(map, false)));
      continue;
    }
    if (const auto settings = options.maps.find(name); settings != options.maps.end()) {
      NIGHTJAR_CHECK(apply(map, name, settings->second, features, remarks));
    }
    const std::uint32_t flags = ::bpf_map__map_flags(map);
    if ((flags & BPF_F_MMAPABLE) != 0 && !features.has(Feature::mapped_arrays))
      NIGHTJAR_CHECK(checked(name, "flags", ::bpf_map__set_map_flags(map, flags & ~std::uint32_t{BPF_F_MMAPABLE})));
    const auto feature = feature_of(static_cast<std::uint32_t>(::bpf_map__type(map)));
    if (feature && features.pretends_without(*feature)) {
      return Error(errc::unsupported,
                   "map " + name + " needs " + std::string(to_string(*feature)) + ": told to pretend it is absent");
    }
  }
  return {};
}

std::uint64_t memory_of_maps(const bpf_object* object, const ProgramBlueprint& blueprint, const GroupOptions& options) {
  constexpr std::uint64_t row = 8;           // keys and values begin at multiples of it
  constexpr std::uint64_t of_an_entry = 64;  // a hash table's element and bucket, beside key and value
  constexpr std::uint64_t of_a_bucket = 16;
  const auto rounded = [](std::uint64_t size) { return (size + row - 1) / row * row; };
  std::uint64_t bytes = 0;
  // libbpf calls shared maps by the kernel's names, which are cut; the order is the blueprint's.
  auto known = blueprint.maps().begin();
  const bpf_map* map = nullptr;
  while ((map = ::bpf_object__next_map(object, map)) != nullptr) {
    if (::bpf_map__is_internal(map)) continue;
    if (known == blueprint.maps().end()) break;
    const auto settings = options.maps.find((known++)->name);
    if (!::bpf_map__autocreate(map) || (settings != options.maps.end() && settings->second.share != nullptr)) continue;
    const std::uint64_t entries = ::bpf_map__max_entries(map), value = rounded(::bpf_map__value_size(map));
    switch (::bpf_map__type(map)) {
      case BPF_MAP_TYPE_RINGBUF:
        bytes += entries;
        break;
      case BPF_MAP_TYPE_ARRAY:
        bytes += entries * value;
        break;
      case BPF_MAP_TYPE_PERCPU_ARRAY:
        bytes += entries * value * possible_cpus();
        break;
      case BPF_MAP_TYPE_HASH:
        if ((::bpf_map__map_flags(map) & BPF_F_NO_PREALLOC) != 0) {
          bytes += std::bit_ceil(entries) * of_a_bucket;
          break;
        }
        [[fallthrough]];
      case BPF_MAP_TYPE_LRU_HASH:
        bytes += entries * (of_an_entry + rounded(::bpf_map__key_size(map)) + value);
        break;
      default:  // small ones
        break;
    }
  }
  return bytes;
}

Result<> check_map_names(const ProgramBlueprint& blueprint, const GroupOptions& options) {
  for (const auto& [name, settings] : options.maps) {
    if (blueprint.find_map(name) != nullptr) continue;
    std::vector<std::string_view> names;
    for (const auto& map : blueprint.maps()) names.emplace_back(map.name);
    return Error(errc::invalid,
                 "no map " + text::quoted(name) + " in " + blueprint.name() + text::did_you_mean(name, names));
  }
  return {};
}

}  // namespace nightjar
