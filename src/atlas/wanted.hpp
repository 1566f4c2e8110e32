// SPDX-License-Identifier: Apache-2.0
// What programs want to know of a kernel, taken from their CO-RE relocations: nobody keeps a list.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "atlas/types.hpp"

namespace nightjar::atlas {

/// One thing wanted: a member (path), a type itself (no path), or an enumeration's value (path of one name).
struct Want {
  TypeKind kind = TypeKind::structure;  ///< of the root
  std::string root;                     ///< without its flavour
  std::vector<std::string> path;

  /// "task_struct.se.sum_exec_runtime", "enum cgroup_subsys_id.pids_cgrp_id", "struct upid"
  [[nodiscard]] std::string text() const;
  static Result<Want> from_text(std::string_view text);
  auto operator<=>(const Want&) const = default;
};

struct WantedSet {
  std::set<Want> all;
  /// Which of them each function of the object touches, those that it calls included.
  std::map<std::string, std::set<Want>> by_function;
  /// Those that no function reads: they are only asked whether they exist.
  std::set<Want> only_asked;
  /// Of `all`: the shape that older kernels have, read where no newer one is there (flavours NAME___before_RELEASE). A
  /// pack of newer kernels need not keep it: where it is missing, and the newer one too, the program is not loaded.
  std::set<Want> last_resort;
};

enum class WantedDetail : std::uint8_t { in_all, by_function };

/// Of an ELF object with .BTF and .BTF.ext. Fails with corrupt. `in_all`: by_function stays empty, which is several
/// times quicker.
Result<WantedSet> wanted_of_object(Bytes elf, WantedDetail detail = WantedDetail::by_function);

/// Where a wanted member is in a layout. `variant`: of how many types of that name.
struct Place {
  TypeId root = 0;
  std::uint64_t bit_offset = 0;
  std::uint32_t bit_size = 0;  ///< of the value
  TypeId type = 0;
  /// The steps: record and the member's index in it.
  std::vector<std::pair<TypeId, std::size_t>> steps;
};

/// The types of a layout by kind and name, for finding.
class LayoutIndex {
 public:
  LayoutIndex(const TypePool& pool, const Layout& layout);

  [[nodiscard]] const TypePool& pool() const { return pool_; }
  /// The types that libbpf would take for the name, flavours aside.
  [[nodiscard]] const std::vector<TypeId>& find(TypeKind kind, const std::string& name) const;
  /// Every place of a member: one for each type of the root's name that has it. Empty: the kernel lacks it.
  [[nodiscard]] std::vector<Place> places(const Want& want) const;
  /// Whether the kernel has what is wanted.
  [[nodiscard]] bool has(const Want& want) const;
  /// The value of an enumerator; empty when there is none.
  [[nodiscard]] std::optional<std::int64_t> value(const Want& want) const;

 private:
  const TypePool& pool_;
  std::map<std::pair<TypeKind, std::string>, std::vector<TypeId>> by_name_;
};

/// The layout with nothing but what is wanted, in `to`. CO-RE resolves the same to the same against both.
Layout prune(const LayoutIndex& index, const std::set<Want>& wanted, TypePool& to);

}  // namespace nightjar::atlas
