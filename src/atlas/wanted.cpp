// SPDX-License-Identifier: Apache-2.0
#include "atlas/wanted.hpp"

#include <algorithm>

namespace nightjar::atlas {
namespace {

constexpr int deepest = 64;

const std::vector<TypeId> nothing;

}  // namespace

std::string Want::text() const {
  std::string out;
  if (path.empty() || kind == TypeKind::enumeration || kind == TypeKind::onion)
    out += std::string(to_string(kind)) + " ";
  out += root;
  for (const std::string& step : path) out += "." + step;
  return out;
}

Result<Want> Want::from_text(std::string_view given) {
  std::string dotted;  // "task_struct->tgid" is the seed's way to write it
  for (std::size_t at = 0; at < given.size(); ++at) {
    const bool arrow = given.substr(at, 2) == "->";
    dotted += arrow ? '.' : given[at];
    at += arrow ? 1 : 0;
  }
  std::string_view text = dotted;
  Want want;
  for (const TypeKind kind : {TypeKind::structure, TypeKind::onion, TypeKind::enumeration, TypeKind::alias}) {
    const std::string prefix = std::string(to_string(kind)) + " ";
    if (!text.starts_with(prefix)) continue;
    want.kind = kind;
    text.remove_prefix(prefix.size());
    break;
  }
  for (bool first = true;; first = false) {
    const std::size_t dot = text.find('.');
    const std::string step(text.substr(0, dot));
    if (step.empty()) return Error(errc::invalid, "expected STRUCT or STRUCT.MEMBER");
    if (first) {
      want.root = step;
    } else {
      want.path.push_back(step);
    }
    if (dot == std::string_view::npos) return want;
    text.remove_prefix(dot + 1);
  }
}

LayoutIndex::LayoutIndex(const TypePool& pool, const Layout& layout) : pool_(pool) {
  for (const TypeId id : layout) {
    const Type& type = pool.at(id);
    by_name_[{type.kind, std::string(essential_name(type.name))}].push_back(id);
  }
}

const std::vector<TypeId>& LayoutIndex::find(TypeKind kind, const std::string& name) const {
  const auto found = by_name_.find({kind, name});
  return found == by_name_.end() ? nothing : found->second;
}

namespace {

/// Appends the steps to the member of that name, through anonymous structs and unions.
bool find_member(const TypePool& pool, TypeId record, const std::string& name, Place& place, int depth) {
  if (depth > deepest) return false;
  const Type& type = pool.at(record);
  for (std::size_t index = 0; index < type.members.size(); ++index) {
    const Member& member = type.members[index];
    const std::size_t before = place.steps.size();
    const std::uint64_t offset_before = place.bit_offset;
    if (!member.name.empty() && member.name != name) continue;
    place.steps.emplace_back(record, index);
    place.bit_offset += member.bit_offset;
    if (member.name == name) {
      place.type = member.type;
      place.bit_size =
          member.bit_size != 0 ? member.bit_size : static_cast<std::uint32_t>(pool.size_of(member.type) * 8);
      return true;
    }
    const TypeId inner = pool.resolve(member.type);
    if (pool.at(inner).is_record() && find_member(pool, inner, name, place, depth + 1)) return true;
    place.steps.resize(before);
    place.bit_offset = offset_before;
  }
  return false;
}

bool follow(const TypePool& pool, const Want& want, Place& place) {
  TypeId at = place.root;
  for (const std::string& step : want.path) {
    at = pool.resolve(at);
    for (int depth = 0; pool.at(at).kind == TypeKind::array && depth < deepest; ++depth)
      at = pool.resolve(pool.at(at).target);
    if (!pool.at(at).is_record() || !find_member(pool, at, step, place, 0)) return false;
    at = place.type;
  }
  return true;
}

}  // namespace

std::vector<Place> LayoutIndex::places(const Want& want) const {
  std::vector<Place> found;
  if (want.kind == TypeKind::enumeration || want.path.empty()) return found;
  for (const TypeId root : find(want.kind, want.root)) {
    Place place;
    place.root = root;
    if (follow(pool_, want, place)) found.push_back(std::move(place));
  }
  return found;
}

std::optional<std::int64_t> LayoutIndex::value(const Want& want) const {
  for (const TypeId id : find(TypeKind::enumeration, want.root)) {
    for (const EnumValue& value : pool_.at(id).values) {
      if (!want.path.empty() && essential_name(value.name) == want.path.front()) return value.value;
    }
  }
  return std::nullopt;
}

bool LayoutIndex::has(const Want& want) const {
  if (want.path.empty()) return !find(want.kind, want.root).empty();
  if (want.kind == TypeKind::enumeration) return value(want).has_value();
  return !places(want).empty();
}

namespace {

class Pruner {
 public:
  Pruner(const LayoutIndex& index, TypePool& to) : index_(index), from_(index.pool()), to_(to) {}

  Layout prune(const std::set<Want>& wanted) {
    std::set<TypeId> roots;
    for (const Want& want : wanted) {
      for (const TypeId id : index_.find(want.kind, want.root)) roots.insert(id);
      if (want.kind == TypeKind::enumeration && !want.path.empty()) values_.insert({want.root, want.path.front()});
      for (const Place& place : index_.places(want)) {
        for (const auto& [record, member] : place.steps) kept_[record].insert(member);
      }
    }
    Layout layout;
    for (const TypeId id : roots) layout.push_back(rebuild(id, true));
    std::sort(layout.begin(), layout.end());
    layout.erase(std::unique(layout.begin(), layout.end()), layout.end());
    return layout;
  }

 private:
  TypeId rebuild(TypeId id, bool is_root = false) {
    if (id == 0) return 0;
    if (const auto found = rebuilt_.find(id); found != rebuilt_.end()) return found->second;
    Type type = from_.at(id);
    if (type.is_record()) {
      std::vector<Member> members;
      if (const auto kept = kept_.find(id); kept != kept_.end()) {
        for (const std::size_t member : kept->second) members.push_back(type.members[member]);
      }
      type.members = std::move(members);
    } else if (type.kind == TypeKind::enumeration && is_root) {
      std::erase_if(type.values, [&](const EnumValue& value) {
        return !values_.contains({std::string(essential_name(type.name)), std::string(essential_name(value.name))});
      });
    } else if (type.kind == TypeKind::pointer && type.target == 0) {
      type.name.clear();
      type.detail = 0;
    }
    return rebuilt_[id] = to_.add(with_references(std::move(type), [this](TypeId inner) { return rebuild(inner); }));
  }

  const LayoutIndex& index_;
  const TypePool& from_;
  TypePool& to_;
  std::map<TypeId, std::set<std::size_t>> kept_;  ///< members by record
  std::set<std::pair<std::string, std::string>> values_;
  std::map<TypeId, TypeId> rebuilt_;
};

}  // namespace

Layout prune(const LayoutIndex& index, const std::set<Want>& wanted, TypePool& to) {
  return Pruner(index, to).prune(wanted);
}

}  // namespace nightjar::atlas
