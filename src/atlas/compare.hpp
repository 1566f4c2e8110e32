// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "atlas/wanted.hpp"

namespace nightjar::atlas {

struct Difference {
  std::string subject;  ///< "mm_struct.exe_file"
  std::string words;    ///< "moved by +8 bytes (872 to 880)"

  [[nodiscard]] std::string text() const { return subject + ": " + words; }
};

/// What the second says otherwise than the first about wanted members, types and values.
std::vector<Difference> differences(const LayoutIndex& first, const LayoutIndex& second, const std::set<Want>& wanted);

/// What moved, appeared, vanished or changed its size, in words, neighbours that moved together in one line. `only`:
/// names of structs; empty: all of those that both or either have.
std::vector<Difference> changes(const LayoutIndex& first, const LayoutIndex& second, const std::set<std::string>& only);

/// Every member of the structs of a layout, also those of anonymous ones inside, each as a Want.
std::vector<Want> members_of(const LayoutIndex& index, TypeKind kind, const std::string& name);

/// "872", or "872, bits 3 to 4" for a bit field.
std::string describe_offset(const Place& place);

}  // namespace nightjar::atlas
