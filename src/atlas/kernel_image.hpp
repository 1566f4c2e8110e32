// SPDX-License-Identifier: Apache-2.0
// A kernel's types and names from whatever holds them.
#pragma once

#include <functional>
#include <string>

#include "atlas/atlas.hpp"

namespace nightjar::atlas {

/// What was read of one kernel. The types are in the pool that was given; `kernel.layout` means nothing yet.
struct KernelTypes {
  Kernel kernel;
  Layout layout;
};

/// Which of two sources of types is read from a kernel that has both.
enum class Prefer : std::uint8_t { btf, dwarf };

struct ReadOptions {
  Prefer prefer = Prefer::btf;
  /// With DWARF only types of these names are read (all when empty): that is much faster.
  const std::set<Want>* wanted = nullptr;
};

/// `bytes`: a vmlinux with BTF or DWARF, a compressed kernel image, raw BTF, or any of them compressed with gzip, xz,
/// zstd or lz4. Fails with corrupt, not_found (no type information in it), or invalid (it is an atlas).
Result<KernelTypes> read_kernel(Bytes bytes, TypePool& pool, const ReadOptions& options = {});

/// From a module (ELF, maybe compressed) of the kernel whose BTF is given: the types that the kernel lacks.
Result<Layout> read_module(Bytes module, Bytes kernel_btf, TypePool& pool);

/// The ELF file inside of a kernel image (x86 bzImage, or compressed as a whole), or an uncompressed image without ELF
/// headers (arm64).
Result<std::string> unpack_image(Bytes image);

/// release, version, architecture and distribution from "Linux version ..."; nothing is changed when there is none.
void read_banner(Bytes image, Kernel& kernel);

/// From the release and version that uname gives.
std::string distribution_of(std::string_view release, std::string_view version);

/// DWARF's way (dwarf_reader.cpp). Fails with not_found (no DWARF), corrupt.
Result<Layout> read_dwarf(Bytes elf, TypePool& pool, const std::set<Want>* wanted);

}  // namespace nightjar::atlas
