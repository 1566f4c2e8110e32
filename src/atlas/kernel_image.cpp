// SPDX-License-Identifier: Apache-2.0
#include "atlas/kernel_image.hpp"

#include <algorithm>

#include <elf.h>

#include <linux/btf.h>

#include "atlas/atlas_file.hpp"
#include "atlas/btf_reader.hpp"
#include "atlas/elf_file.hpp"
#include "atlas/source.hpp"

namespace nightjar::atlas {
namespace {

constexpr std::uint64_t largest_kernel = std::uint64_t{2} << 30U;

/// x86's boot protocol (Documentation/arch/x86/boot.rst).
constexpr std::size_t at_setup_sectors = 0x1f1;
constexpr std::size_t at_magic = 0x202;
constexpr std::size_t at_payload_offset = 0x248;
constexpr std::size_t at_payload_length = 0x24c;

bool is_bzimage(Bytes bytes) {
  return bytes.size() > at_payload_length + 4 && as_text(bytes.subspan(at_magic, 4)) == "HdrS";
}
bool is_btf(Bytes bytes) {
  return bytes.size() >= sizeof(btf_header) && value_at<std::uint16_t>(bytes, 0) == BTF_MAGIC;
}
bool is_arm64_image(Bytes bytes) {
  return bytes.size() > 64 && as_text(bytes.subspan(56, 4)) == "ARM\x64";
}

Result<std::string> decompress_all(Bytes bytes) {
  const SourcePointer source = decompressed(source_of(bytes), compression_of(bytes));
  return read_rest(*source, largest_kernel);
}

/// BTF in an image that has no sections: where the header's own numbers fit.
Result<Bytes> find_btf(Bytes image) {
  const std::string_view text = as_text(image);
  const std::string_view pattern("\x9f\xeb\x01\x00\x18\x00\x00\x00\x00\x00\x00\x00", 12);
  for (std::size_t at = text.find(pattern); at != std::string_view::npos; at = text.find(pattern, at + 1)) {
    const auto header = value_at<btf_header>(image, at);
    const std::uint64_t size = std::uint64_t{header.hdr_len} + header.str_off + header.str_len;
    constexpr std::uint32_t least = 1U << 16U;  // smaller ones are test data of the kernel
    if (header.str_off == header.type_len && header.type_len >= least && size <= image.size() - at)
      return image.subspan(at, size);
  }
  return Error(errc::not_found, "no BTF in the image");
}

std::string machine_name(std::uint16_t machine) {
  switch (machine) {
    case EM_X86_64:
      return "x86_64";
    case EM_AARCH64:
      return "aarch64";
    case EM_PPC64:
      return "ppc64le";
    case EM_S390:
      return "s390x";
    case EM_RISCV:
      return "riscv64";
    default:
      return {};
  }
}

Result<KernelTypes> read_elf(Bytes bytes, TypePool& pool, const ReadOptions& options) {
  const ElfFile elf = NIGHTJAR_TRY(ElfFile::open(bytes));
  KernelTypes result;
  result.kernel.build_id = elf.build_id();
  result.kernel.architecture = machine_name(elf.machine());
  read_banner(bytes, result.kernel);
  const ElfFile::Section* btf = elf.find(".BTF");
  if (btf != nullptr && options.prefer == Prefer::btf) {
    const BtfView view = NIGHTJAR_TRY(BtfView::open(btf->data));
    result.layout = NIGHTJAR_TRY(view.read(pool));
    result.kernel.method = "btf";
    return result;
  }
  result.layout = NIGHTJAR_TRY(read_dwarf(bytes, pool, options.wanted));
  result.kernel.method = "dwarf";
  return result;
}

}  // namespace

std::string distribution_of(std::string_view release, std::string_view version) {
  const auto in_version = [&](std::string_view part) { return version.find(part) != std::string_view::npos; };
  const auto in_release = [&](std::string_view part) { return release.find(part) != std::string_view::npos; };
  if (in_version("Debian")) return "debian";
  if (in_version("Ubuntu")) return "ubuntu";
  if (in_release(".amzn")) return "amazon";
  if (in_release(".fc")) return "fedora";
  if (in_release("uek")) return "oracle";
  if (in_release(".el")) return "rhel";
  if (in_release("-arch") || in_release("-ARCH")) return "arch";
  if (in_release("-default") || in_release("-azure")) return "suse";
  return {};
}

void read_banner(Bytes image, Kernel& kernel) {
  const std::string_view text = as_text(image);
  const std::string_view start = "Linux version ";
  for (std::size_t at = text.find(start); at != std::string_view::npos; at = text.find(start, at + 1)) {
    std::string_view banner = text.substr(at + start.size(), 512);
    banner = banner.substr(0, banner.find_first_of(std::string_view("\n\0", 2)));
    const std::size_t space = banner.find(' ');
    const std::size_t number = banner.rfind(" #");
    // There may be a second one, without the build's number: not that.
    if (space == std::string_view::npos || number == std::string_view::npos || number + 2 >= banner.size() ||
        banner[number + 2] < '0' || banner[number + 2] > '9' || banner[0] < '0' || banner[0] > '9')
      continue;
    kernel.release = banner.substr(0, space);
    // uname cuts the version to 64 characters with the final NUL.
    kernel.version = banner.substr(number + 1, 64);
    kernel.distribution = distribution_of(kernel.release, kernel.version);
    return;
  }
}

Result<std::string> unpack_image(Bytes image) {
  if (compression_of(image) != Compression::none) return decompress_all(image);
  if (!is_bzimage(image)) return Error(errc::not_found, "not a kernel image");
  const std::uint64_t sectors = static_cast<std::uint64_t>(image[at_setup_sectors]);
  const std::uint64_t begin = (sectors + 1) * 512 + value_at<std::uint32_t>(image, at_payload_offset);
  const Bytes payload =
      NIGHTJAR_TRY(part_of(image, begin, value_at<std::uint32_t>(image, at_payload_length), "the kernel image"));
  if (compression_of(payload) == Compression::none) return corrupt("the kernel image is compressed in an unknown way");
  return decompress_all(payload);
}

Result<KernelTypes> read_kernel(Bytes bytes, TypePool& pool, const ReadOptions& options) {
  if (is_btf(bytes)) {
    KernelTypes result;
    const BtfView view = NIGHTJAR_TRY(BtfView::open(bytes));
    result.layout = NIGHTJAR_TRY(view.read(pool));
    result.kernel.method = "btf";
    return result;
  }
  if (ElfFile::is_elf(bytes)) return read_elf(bytes, pool, options);
  if (is_arm64_image(bytes)) {
    KernelTypes result;
    result.kernel.architecture = "aarch64";
    result.kernel.method = "btf";
    read_banner(bytes, result.kernel);
    const Bytes btf = NIGHTJAR_TRY(find_btf(bytes));
    const BtfView view = NIGHTJAR_TRY(BtfView::open(btf));
    result.layout = NIGHTJAR_TRY(view.read(pool));
    return result;
  }
  if (is_atlas(bytes)) return Error(errc::invalid, "an atlas, where a kernel is expected (--atlas names an atlas)");
  auto unpacked = unpack_image(bytes);
  if (!unpacked && unpacked.error().code() == errc::not_found)
    return Error(errc::not_found, "neither BTF, an ELF file, nor a kernel image");
  if (!unpacked) return std::move(unpacked).error();
  const Bytes inner = as_bytes(*unpacked);
  if (compression_of(inner) != Compression::none || is_bzimage(inner))
    return corrupt("a kernel image inside of a kernel image");
  return read_kernel(inner, pool, options);
}

Result<Layout> read_module(Bytes module, Bytes kernel_btf, TypePool& pool) {
  std::string unpacked;
  if (compression_of(module) != Compression::none) {
    unpacked = NIGHTJAR_TRY(decompress_all(module));
    module = as_bytes(unpacked);
  }
  const ElfFile elf = NIGHTJAR_TRY(ElfFile::open(module));
  const ElfFile::Section* btf = elf.find(".BTF");
  if (btf == nullptr) return Error(errc::not_found, "the module has no BTF");
  const BtfView base = NIGHTJAR_TRY(BtfView::open(kernel_btf));
  const BtfView view = NIGHTJAR_TRY(BtfView::open(btf->data, &base));
  return view.read(pool);
}

}  // namespace nightjar::atlas
