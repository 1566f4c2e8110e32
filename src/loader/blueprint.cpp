// SPDX-License-Identifier: Apache-2.0
#include "nightjar/blueprint.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include <fcntl.h>
#include <unistd.h>

#include <sys/stat.h>

#include "elf_image.hpp"
#include "handle.hpp"
#include "libbpf_log.hpp"
#include "nightjar/unique_fd.hpp"
#include "section_name.hpp"
#include "text.hpp"

namespace nightjar {

struct ProgramBlueprint::Parsed {
  std::string name;
  std::vector<std::byte> bytes;
  std::string license;
  std::optional<std::uint32_t> kernel_version;
  std::vector<ProgramInfo> programs;
  std::vector<MapInfo> maps;
};

namespace {

/// No object of ours comes near; a wrong path (a disk image) should not fill the memory.
constexpr std::size_t largest_file = std::size_t{64} << 20;

Result<std::vector<std::byte>> read_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return Error::from_errno("open " + path);
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return Error::from_errno("stat " + path);
  if (!S_ISREG(status.st_mode)) return Error(errc::corrupt, path + ": not a regular file");
  if (static_cast<std::size_t>(status.st_size) > largest_file) {
    return Error(errc::corrupt, path + ": too large for a BPF object");
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::read(fd.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("read " + path);
    if (got == 0) break;  // it became shorter meanwhile
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

std::string base_name(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

ProgramBlueprint::ProgramInfo describe(const bpf_program* program, const ElfImage& image) {
  const char* section = ::bpf_program__section_name(program);
  ProgramBlueprint::ProgramInfo info{.name = ::bpf_program__name(program),
                                     .section = section != nullptr ? section : "",
                                     .kind = ProgramKind::other,
                                     .attach_point = {},
                                     .names_syscall = false,
                                     .instructions = ::bpf_program__insn_cnt(program),
                                     .maps = {}};
  const SectionMeaning meaning = read_section_name(info.section);
  info.kind = meaning.kind;
  info.attach_point = meaning.attach_point;
  info.names_syscall = meaning.names_syscall;
  const auto maps = image.maps_of(info.name);
  info.maps.assign(maps.begin(), maps.end());
  return info;
}

}  // namespace

Result<ProgramBlueprint> ProgramBlueprint::from_file(const std::string& path) {
  return from_bytes(NIGHTJAR_TRY(read_file(path)), base_name(path));
}

Result<ProgramBlueprint> ProgramBlueprint::from_bytes(std::span<const std::byte> elf, std::string name) {
  auto parsed = std::make_shared<Parsed>();
  parsed->name = std::move(name);
  parsed->bytes.assign(elf.begin(), elf.end());

  auto image = ElfImage::parse(parsed->bytes);
  if (!image) return std::move(image).error().in(parsed->name);
  if (!image->old_maps().maps.empty()) {
    auto rewritten = rewrite_old_maps(parsed->bytes, image->old_maps());
    if (!rewritten) return std::move(rewritten).error().in(parsed->name);
    parsed->bytes = *std::move(rewritten);
    image = ElfImage::parse(parsed->bytes);
    if (!image) return std::move(image).error().in(parsed->name);
  }
  parsed->license = image->license();
  parsed->kernel_version = image->kernel_version();

  LibbpfCapture capture;
  bpf_object_open_opts options{};
  options.sz = sizeof(options);
  options.object_name = parsed->name.c_str();
  const ObjectHandle object = own_object(::bpf_object__open_mem(parsed->bytes.data(), parsed->bytes.size(), &options));
  if (!object) {
    const int sys = errno;
    const std::string_view why = first_warning(capture.warnings());
    return Error(errc::corrupt, parsed->name + ": " + (why.empty() ? text::errno_text(sys) : std::string(why)), sys)
        .with_detail(capture.warnings());
  }

  const bpf_program* program = nullptr;
  while ((program = ::bpf_object__next_program(object.get(), const_cast<bpf_program*>(program))) !=
         nullptr) {  // NOLINT
    parsed->programs.push_back(describe(program, *image));
  }
  const bpf_map* map = nullptr;
  while ((map = ::bpf_object__next_map(object.get(), map)) != nullptr) {
    if (::bpf_map__is_internal(map)) continue;  // .rodata and such: reached through constants
    parsed->maps.push_back({.name = ::bpf_map__name(map),
                            .type = static_cast<std::uint32_t>(::bpf_map__type(map)),
                            .key_size = ::bpf_map__key_size(map),
                            .value_size = ::bpf_map__value_size(map),
                            .max_entries = ::bpf_map__max_entries(map)});
  }
  return ProgramBlueprint(std::move(parsed));
}

const std::string& ProgramBlueprint::name() const {
  return parsed_->name;
}
const std::string& ProgramBlueprint::license() const {
  return parsed_->license;
}
std::optional<std::uint32_t> ProgramBlueprint::kernel_version() const {
  return parsed_->kernel_version;
}
const std::vector<ProgramBlueprint::ProgramInfo>& ProgramBlueprint::programs() const {
  return parsed_->programs;
}
const std::vector<ProgramBlueprint::MapInfo>& ProgramBlueprint::maps() const {
  return parsed_->maps;
}

const ProgramBlueprint::ProgramInfo* ProgramBlueprint::find_program(std::string_view name) const {
  const auto& all = parsed_->programs;
  const auto found = std::find_if(all.begin(), all.end(), [&](const ProgramInfo& info) { return info.name == name; });
  return found == all.end() ? nullptr : &*found;
}

const ProgramBlueprint::MapInfo* ProgramBlueprint::find_map(std::string_view name) const {
  const auto& all = parsed_->maps;
  const auto found = std::find_if(all.begin(), all.end(), [&](const MapInfo& info) { return info.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::span<const std::byte> ProgramBlueprint::bytes() const {
  return parsed_->bytes;
}

}  // namespace nightjar
