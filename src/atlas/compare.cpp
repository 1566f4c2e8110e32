// SPDX-License-Identifier: Apache-2.0
#include "atlas/compare.hpp"

#include <algorithm>

namespace nightjar::atlas {
namespace {

std::string with_sign(std::int64_t number) {
  return (number < 0 ? "" : "+") + std::to_string(number);
}

std::string bytes(std::int64_t number) {
  return with_sign(number) + (number == 1 || number == -1 ? " byte" : " bytes");
}

void collect(const TypePool& pool, TypeId record, Want& want, std::vector<Want>& all, int depth) {
  if (depth > 64) return;
  for (const Member& member : pool.at(record).members) {
    if (!member.name.empty()) {
      want.path.push_back(member.name);
      all.push_back(want);
      want.path.pop_back();
    } else if (const TypeId inner = pool.resolve(member.type); pool.at(inner).is_record()) {
      collect(pool, inner, want, all, depth + 1);
    }
  }
}

bool same_place(const Place& a, const Place& b) {
  return a.bit_offset == b.bit_offset && a.bit_size == b.bit_size;
}

/// The words for one wanted thing; empty when both say the same.
std::string compare(const LayoutIndex& first, const LayoutIndex& second, const Want& want) {
  if (want.kind == TypeKind::enumeration && !want.path.empty()) {
    const auto a = first.value(want);
    const auto b = second.value(want);
    if (a == b) return {};
    if (!a) return "appears with value " + std::to_string(*b);
    if (!b) return "vanishes";
    return "has value " + std::to_string(*a) + " in one and " + std::to_string(*b) + " in the other";
  }
  if (first.has(want) != second.has(want)) return first.has(want) ? "vanishes" : "appears";
  if (want.path.empty()) {
    const auto& a = first.find(want.kind, want.root);
    const auto& b = second.find(want.kind, want.root);
    if (a.empty() || b.empty()) return {};
    const auto size_a = static_cast<std::int64_t>(first.pool().size_of(a.front()));
    const auto size_b = static_cast<std::int64_t>(second.pool().size_of(b.front()));
    if (size_a == size_b) return {};
    return (size_b > size_a ? "grows by " : "shrinks by ") + bytes(size_b - size_a).substr(1) + " (" +
           std::to_string(size_a) + " to " + std::to_string(size_b) + ")";
  }
  const auto a = first.places(want);
  const auto b = second.places(want);
  if (a.empty()) return {};
  for (const Place& place : b) {
    if (same_place(place, a.front())) return {};
  }
  const auto moved = static_cast<std::int64_t>(b.front().bit_offset) - static_cast<std::int64_t>(a.front().bit_offset);
  if (moved == 0)
    return "changes its size from " + std::to_string(a.front().bit_size) + " to " + std::to_string(b.front().bit_size) +
           " bits";
  const std::string where = " (" + describe_offset(a.front()) + " to " + describe_offset(b.front()) + ")";
  return (moved % 8 == 0 ? "moves by " + bytes(moved / 8) : "moves by " + with_sign(moved) + " bits") + where;
}

}  // namespace

std::string describe_offset(const Place& place) {
  std::string out = std::to_string(place.bit_offset / 8);
  const std::uint64_t bit = place.bit_offset % 8;
  if (bit == 0 && place.bit_size % 8 == 0) return out;
  out += ", bit " + std::to_string(bit);
  if (place.bit_size > 1) out += " to " + std::to_string(bit + place.bit_size - 1);
  return out;
}

std::vector<Want> members_of(const LayoutIndex& index, TypeKind kind, const std::string& name) {
  std::vector<Want> all;
  for (const TypeId id : index.find(kind, name)) {
    Want want{.kind = kind, .root = name, .path = {}};
    const TypeId record = index.pool().resolve(id);
    if (kind == TypeKind::enumeration) {
      for (const EnumValue& value : index.pool().at(record).values) all.push_back({kind, name, {value.name}});
    } else {
      collect(index.pool(), record, want, all, 0);
    }
  }
  return all;
}

std::vector<Difference> differences(const LayoutIndex& first, const LayoutIndex& second, const std::set<Want>& wanted) {
  std::vector<Difference> all;
  for (const Want& want : wanted) {
    if (std::string words = compare(first, second, want); !words.empty())
      all.push_back({want.text(), std::move(words)});
  }
  return all;
}

std::vector<Difference> changes(const LayoutIndex& first, const LayoutIndex& second,
                                const std::set<std::string>& only) {
  std::vector<Difference> all;
  for (const std::string& name : only) {
    for (const TypeKind kind : {TypeKind::structure, TypeKind::onion, TypeKind::enumeration, TypeKind::alias}) {
      const Want whole{.kind = kind, .root = name, .path = {}};
      if (!first.has(whole) && !second.has(whole)) continue;
      if (std::string words = compare(first, second, whole); !words.empty())
        all.push_back({std::string(to_string(kind)) + " " + name, std::move(words)});
      if (!first.has(whole) || !second.has(whole)) continue;
      std::vector<Want> members = members_of(first, kind, name);
      for (const Want& want : members_of(second, kind, name)) {
        if (!first.has(want)) members.push_back(want);
      }
      // Members that move alike, one after another, are one change.
      std::string last_move;
      std::string last_name;
      std::size_t run = 0;
      const auto flush = [&] {
        if (run > 1) all.back().words += "; so do the " + std::to_string(run - 1) + " after it, up to " + last_name;
        run = 0;
      };
      std::set<Want> seen;
      for (const Want& want : members) {
        if (!seen.insert(want).second) continue;
        const std::string words = compare(first, second, want);
        const std::string move = words.starts_with("moves by") ? words.substr(0, words.find(" (")) : "";
        if (!move.empty() && move == last_move && run > 0) {
          ++run;
          last_name = want.path.back();
          continue;
        }
        flush();
        last_move = move;
        if (words.empty()) continue;
        all.push_back({want.text(), words});
        if (!move.empty()) run = 1;
      }
      flush();
    }
  }
  return all;
}

}  // namespace nightjar::atlas
