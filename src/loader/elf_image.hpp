// SPDX-License-Identifier: Apache-2.0
// What the loader reads from a BPF ELF object by itself: is it sound enough to hand to libbpf, its licence, and which
// maps each function uses. No system calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nightjar/result.hpp"
#include "old_maps.hpp"

namespace nightjar {

class ElfImage {
 public:
  /// Fails with corrupt, or unsupported: maps defined the old way that cannot be rewritten.
  static Result<ElfImage> parse(std::span<const std::byte> bytes);

  [[nodiscard]] const std::string& license() const { return license_; }
  [[nodiscard]] std::optional<std::uint32_t> kernel_version() const { return kernel_version_; }
  /// Maps defined the old way, to be rewritten before anything else is asked: maps_of() does not know them.
  [[nodiscard]] const OldMaps& old_maps() const { return old_maps_; }
  /// Maps that the function and what it calls refer to, by symbol name. All of the object's maps when a reference
  /// could not be resolved: creating one too many is safe, one too few is not.
  [[nodiscard]] std::set<std::string, std::less<>> maps_of(std::string_view function) const;

 private:
  struct Function {
    std::string name;
    std::size_t section;
    std::uint64_t begin, end;  ///< bytes in the section
    std::set<std::string, std::less<>> maps;
    std::set<std::size_t> calls;  ///< indices in functions_
    bool unresolved = false;
  };
  struct MapSymbol {
    std::string name;
    std::uint64_t begin, end;                  ///< bytes in .maps
    std::set<std::string, std::less<>> inner;  ///< maps in its initial value
  };
  class Reader;

  [[nodiscard]] std::size_t function_at(std::size_t section, std::uint64_t offset) const;
  [[nodiscard]] const MapSymbol* map_at(std::uint64_t offset) const;

  std::string license_;
  std::optional<std::uint32_t> kernel_version_;
  std::vector<Function> functions_;
  std::vector<MapSymbol> maps_;
  OldMaps old_maps_;
};

/// Whether BTF bytes are sound: every type, string and member they refer to is there and no chain of modifiers is a
/// circle. libbpf 1.1 checks sizes only and follows the rest blindly. Fails with corrupt.
Result<> check_btf(std::span<const std::byte> bytes);

}  // namespace nightjar
