// SPDX-License-Identifier: Apache-2.0
#include "constants.hpp"

#include <cstdint>
#include <cstring>
#include <string_view>

#include <bpf/btf.h>

#include "text.hpp"

namespace nightjar {
namespace {

struct Slot {
  std::byte* bytes;
  std::size_t size;
};

/// The variables of one .rodata section.
void collect(bpf_object* object, const btf* types, const btf_type* section, std::map<std::string_view, Slot>& slots) {
  const char* name = ::btf__name_by_offset(types, section->name_off);
  bpf_map* map = ::bpf_object__find_map_by_name(object, name);
  if (map == nullptr) return;
  std::size_t size = 0;
  auto* bytes = static_cast<std::byte*>(const_cast<void*>(::bpf_map__initial_value(map, &size)));  // NOLINT
  if (bytes == nullptr) return;
  const btf_var_secinfo* variables = ::btf_var_secinfos(section);
  for (std::uint32_t index = 0; index < ::btf_vlen(section); ++index) {
    const btf_var_secinfo& variable = variables[index];
    if (variable.offset > size || variable.size > size - variable.offset) continue;
    const btf_type* type = ::btf__type_by_id(types, variable.type);
    if (type == nullptr || !::btf_is_var(type)) continue;
    slots.insert({::btf__name_by_offset(types, type->name_off), {bytes + variable.offset, variable.size}});
  }
}

std::map<std::string_view, Slot> find_slots(bpf_object* object) {
  std::map<std::string_view, Slot> slots;
  const btf* types = ::bpf_object__btf(object);
  if (types == nullptr) return slots;
  for (std::uint32_t id = 1; id < ::btf__type_cnt(types); ++id) {
    const btf_type* type = ::btf__type_by_id(types, id);
    if (type == nullptr || !::btf_is_datasec(type)) continue;
    const std::string_view name = ::btf__name_by_offset(types, type->name_off);
    if (name == ".rodata" || name.starts_with(".rodata.")) collect(object, types, type, slots);
  }
  return slots;
}

}  // namespace

Result<> set_constants(bpf_object* object, const Constants& values) {
  if (values.empty()) return {};
  const auto slots = find_slots(object);
  for (const auto& [name, value] : values) {
    const auto found = slots.find(name);
    if (found == slots.end()) {
      std::vector<std::string_view> names;
      for (const auto& [known, slot] : slots) names.push_back(known);
      return Error(errc::invalid, "no constant " + text::quoted(name) + text::did_you_mean(name, names));
    }
    if (value.size() != found->second.size) {
      return Error(errc::invalid, "constant " + text::quoted(name) + " has " + std::to_string(found->second.size) +
                                      " bytes, the value given has " + std::to_string(value.size()));
    }
    std::memcpy(found->second.bytes, value.data(), value.size());
  }
  return {};
}

}  // namespace nightjar
