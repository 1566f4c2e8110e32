// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nightjar/api.hpp"
#include "nightjar/program.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

/// One parsed ELF object: programs, maps, licence. What it holds depends on the bytes alone, never on the running
/// kernel: the same bytes give the same blueprint on any machine. The only system calls are from_file's read, and
/// uname, which libbpf asks on opening any object and which changes nothing here. Cheap to copy (the bytes are shared),
/// immutable, thread-safe.
class NIGHTJAR_API ProgramBlueprint {
 public:
  struct ProgramInfo {
    std::string name;
    std::string section;
    ProgramKind kind;
    std::string attach_point;       ///< from the section, may be empty
    bool names_syscall;             ///< the section is "ksyscall": the attach point is a system call
    std::size_t instructions;       ///< its own, without the functions it calls
    std::vector<std::string> maps;  ///< that it and the functions it calls use
  };
  struct MapInfo {
    std::string name;
    std::uint32_t type;  ///< enum bpf_map_type
    std::uint32_t key_size, value_size, max_entries;
  };

  /// Maps of struct bpf_map_def (sections "maps" and "maps/NAME", which libbpf dropped in 1.0) are rewritten as it
  /// wants them. Fails with not_found or denied (the file), corrupt (not a BPF ELF object; says which part),
  /// unsupported (such a map that cannot be rewritten; says why and what to do).
  static Result<ProgramBlueprint> from_file(const std::string& path);
  /// Copies the bytes. `name` appears in errors. Fails with corrupt or unsupported, as from_file.
  static Result<ProgramBlueprint> from_bytes(std::span<const std::byte> elf, std::string name);

  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] const std::string& license() const;
  /// The number in section "version" (KERNEL_VERSION); none when there is no such section, or when it says 0xFFFFFFFE,
  /// "whatever runs".
  [[nodiscard]] std::optional<std::uint32_t> kernel_version() const;
  [[nodiscard]] const std::vector<ProgramInfo>& programs() const;
  [[nodiscard]] const std::vector<MapInfo>& maps() const;
  /// Null when there is none of that name.
  [[nodiscard]] const ProgramInfo* find_program(std::string_view name) const;
  [[nodiscard]] const MapInfo* find_map(std::string_view name) const;
  /// What libbpf is given: the bytes as they came, or rewritten.
  [[nodiscard]] std::span<const std::byte> bytes() const;

 private:
  struct Parsed;
  explicit ProgramBlueprint(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace nightjar
