// SPDX-License-Identifier: Apache-2.0
#include "atlas/export.hpp"

#include "atlas/compare.hpp"
#include "atlas/elf_file.hpp"
#include "wire/json.hpp"

namespace nightjar::atlas {

std::set<Want> wanted_or(const Atlas& atlas, const LayoutIndex& index, const std::set<std::string>& structs) {
  if (structs.empty()) return atlas.wanted();
  std::set<Want> wanted;
  for (const std::string& name : structs) {
    for (const TypeKind kind : {TypeKind::structure, TypeKind::onion, TypeKind::enumeration, TypeKind::alias}) {
      for (Want& want : members_of(index, kind, name)) wanted.insert(std::move(want));
    }
  }
  return wanted;
}

std::string export_json(const Kernel& kernel, const LayoutIndex& index, const std::set<Want>& wanted) {
  std::string out = "{\"release\":" + json::quoted(kernel.release) + ",\"version\":" + json::quoted(kernel.version) +
                    ",\"architecture\":" + json::quoted(kernel.architecture) +
                    ",\"distribution\":" + json::quoted(kernel.distribution) +
                    ",\"build_id\":" + json::quoted(to_hex(as_bytes(kernel.build_id))) +
                    ",\"source\":" + json::quoted(kernel.source) + ",\"method\":" + json::quoted(kernel.method) +
                    ",\"members\":[";
  for (const Want& want : wanted) {
    if (out.back() != '[') out += ',';
    out += "\n{\"name\":" + json::quoted(want.text()) + ",\"present\":" + (index.has(want) ? "true" : "false");
    if (const auto value = index.value(want)) out += ",\"value\":" + std::to_string(*value);
    if (want.path.empty() && index.has(want))
      out += ",\"size\":" + std::to_string(index.pool().size_of(index.find(want.kind, want.root).front()));
    if (const auto places = index.places(want); !places.empty()) {
      const Place& place = places.front();
      out += ",\"offset\":" + std::to_string(place.bit_offset / 8) +
             ",\"bit\":" + std::to_string(place.bit_offset % 8) + ",\"bits\":" + std::to_string(place.bit_size) +
             ",\"type\":" + json::quoted(index.pool().spell(place.type));
    }
    out += "}";
  }
  return out + "]}\n";
}

std::string export_header(const Kernel& kernel, const LayoutIndex& index, const std::set<Want>& wanted) {
  std::string out = "/* Offsets of " + kernel.name() + "\n * build id " + to_hex(as_bytes(kernel.build_id)) +
                    "\n * made by nightjar atlas export */\n#pragma once\n\n";
  for (const Want& want : wanted) {
    std::string name = want.root;
    for (const std::string& step : want.path) name += "__" + step;
    if (!index.has(want)) {
      out += "/* " + want.text() + ": this kernel has none */\n";
    } else if (const auto value = index.value(want)) {
      out += "#define NIGHTJAR_VALUE_" + name + " " + std::to_string(*value) + "\n";
    } else if (want.path.empty()) {
      out += "#define NIGHTJAR_SIZE_" + name + " " +
             std::to_string(index.pool().size_of(index.find(want.kind, want.root).front())) + "\n";
    } else {
      const auto places = index.places(want);
      if (places.empty()) continue;
      out += "#define NIGHTJAR_OFFSET_" + name + " " + std::to_string(places.front().bit_offset / 8) + " /* " +
             describe_offset(places.front()) + ": " + index.pool().spell(places.front().type) + " */\n";
    }
  }
  return out;
}

}  // namespace nightjar::atlas
