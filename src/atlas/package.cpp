// SPDX-License-Identifier: Apache-2.0
#include "atlas/package.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>

#include "nightjar/unique_fd.hpp"

namespace nightjar::atlas {
namespace {

constexpr std::uint64_t largest_file = std::uint64_t{3} << 30U;
/// Files up to here are kept in memory.
constexpr std::uint64_t largest_in_memory = std::uint64_t{128} << 20U;
constexpr std::size_t block = 512;

std::string_view trimmed(std::string_view field) {
  const std::size_t end = field.find_last_not_of(std::string_view(" \0\n", 3));
  return field.substr(0, end == std::string_view::npos ? 0 : end + 1);
}

std::optional<std::uint64_t> number_in(std::string_view field, int base) {
  field = trimmed(field);
  while (field.starts_with(' ')) field.remove_prefix(1);
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(field.data(), field.data() + field.size(), value, base);
  if (parsed.ec != std::errc() || parsed.ptr != field.data() + field.size()) return std::nullopt;
  return value;
}

/// tar keeps numbers in octal, or, when they are too large, in binary with the top bit of the first byte set.
std::optional<std::uint64_t> tar_number(std::string_view field) {
  if (!field.empty() && (static_cast<unsigned char>(field[0]) & 0x80U) != 0) {
    std::uint64_t value = static_cast<unsigned char>(field[0]) & 0x7fU;
    for (const char c : field.substr(1)) {
      if (value >> 56U != 0) return std::nullopt;
      value = value << 8U | static_cast<unsigned char>(c);
    }
    return value;
  }
  return number_in(field, 8);
}

Result<MappedFile> to_temporary_file(Source& source, std::uint64_t size) {
  const char* folder = std::getenv("TMPDIR");
  std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/nightjar-atlas.XXXXXX";
  const UniqueFd file(::mkostemp(path.data(), O_CLOEXEC));
  if (!file.valid()) return Error::from_errno("create a temporary file in " + path);
  std::vector<std::byte> buffer(std::size_t{1} << 20U);
  Result<> result;
  for (std::uint64_t left = size; left != 0 && result;) {
    const std::size_t step = std::min<std::uint64_t>(left, buffer.size());
    result = source.read_all(std::span(buffer).first(step));
    for (std::size_t done = 0; done < step && result;) {
      const ssize_t count = ::write(file.get(), buffer.data() + done, step - done);
      if (count < 0 && errno != EINTR) result = Error::from_errno("write " + path);
      if (count > 0) done += static_cast<std::size_t>(count);
    }
    left -= step;
  }
  auto mapped = result ? MappedFile::open(path) : Result<MappedFile>(result.error());
  ::unlink(path.c_str());
  return mapped;
}

Result<Content> content_of(Source& tar, std::uint64_t size) {
  if (size > largest_file) return corrupt("a file of " + std::to_string(size) + " bytes");
  if (size > largest_in_memory) return Content(NIGHTJAR_TRY(to_temporary_file(tar, size)));
  const SourcePointer part = first_of(tar, size);
  std::string text = NIGHTJAR_TRY(read_rest(*part, size));
  if (text.size() != size) return corrupt("cut off");
  return Content(std::move(text));
}

Result<> read_tar(Source& tar, const PackageFilter& filter) {
  std::array<std::byte, block> header{};
  std::string long_name;
  for (;;) {
    NIGHTJAR_CHECK(tar.read_all(header));
    const std::string_view text = as_text(header);
    if (std::all_of(header.begin(), header.end(), [](std::byte b) { return b == std::byte{0}; })) return {};
    const auto size = tar_number(text.substr(124, 12));
    if (!size || *size > UINT64_MAX - block) return corrupt("data.tar: a file of unknown length");
    const char type = text[156];
    const std::uint64_t padding = (block - *size % block) % block;
    if (type == 'L') {  // GNU: the name of the next file
      if (*size > 65536) return corrupt("data.tar: a name of " + std::to_string(*size) + " bytes");
      const SourcePointer part = first_of(tar, *size);
      long_name = trimmed(NIGHTJAR_TRY(read_rest(*part, *size)));
      NIGHTJAR_CHECK(tar.skip(padding));
      continue;
    }
    std::string name = std::exchange(long_name, {});
    if (name.empty()) {
      const std::string_view prefix = text.substr(257, 5) == "ustar" ? trimmed(text.substr(345, 155)) : "";
      name = (prefix.empty() ? "" : std::string(prefix) + "/");
      name += text.substr(0, 100).substr(0, text.substr(0, 100).find('\0'));
    }
    if (name.starts_with("./")) name.erase(0, 2);
    const bool is_file = type == '0' || type == '\0';
    if (!is_file || !filter.wants(name)) {
      NIGHTJAR_CHECK(tar.skip(*size + padding));
      continue;
    }
    auto content = content_of(tar, *size);
    if (!content) return std::move(content).error().in(name);
    if (!NIGHTJAR_TRY(filter.take(name, std::move(*content)))) return {};
    NIGHTJAR_CHECK(tar.skip(padding));
  }
}

}  // namespace

bool is_package(Bytes beginning) {
  return as_text(beginning).starts_with("!<arch>\ndebian-binary");
}

Result<> read_package(Source& package, const PackageFilter& filter) {
  std::array<std::byte, 8> magic{};
  NIGHTJAR_CHECK(package.read_all(magic));
  if (as_text(magic) != "!<arch>\n") return corrupt("not a Debian package");
  for (;;) {
    std::array<std::byte, 60> header{};
    if (auto read = package.read_all(header); !read) return corrupt("the package has no data.tar, or is cut off");
    const std::string_view text = as_text(header);
    const auto size = number_in(text.substr(48, 10), 10);
    if (!size || text.substr(58) != "`\n") return corrupt("the package is damaged");
    if (!trimmed(text.substr(0, 16)).starts_with("data.tar")) {
      NIGHTJAR_CHECK(package.skip(*size + *size % 2));
      continue;
    }
    // The compression is told by the content, whatever the name says.
    std::array<std::byte, 8> beginning{};
    const std::size_t first = std::min<std::uint64_t>(*size, beginning.size());
    NIGHTJAR_CHECK(package.read_all(std::span(beginning).first(first)));
    class Joined : public Source {
     public:
      Joined(Bytes before, SourcePointer after) : before_(source_of(before)), after_(std::move(after)) {}
      Result<std::size_t> read(std::span<std::byte> into) override {
        const std::size_t count = NIGHTJAR_TRY(before_->read(into));
        return count != 0 ? Result<std::size_t>(count) : after_->read(into);
      }

     private:
      SourcePointer before_, after_;
    };
    const Bytes start = Bytes(beginning).first(first);
    const SourcePointer tar =
        decompressed(std::make_unique<Joined>(start, first_of(package, *size - first)), compression_of(start));
    auto read = read_tar(*tar, filter);
    return read ? Result<>() : Result<>(std::move(read).error().in("data.tar"));
  }
}

bool is_kernel_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const std::string_view folder = slash == std::string_view::npos ? "" : path.substr(0, slash);
  const std::string_view name = path.substr(slash == std::string_view::npos ? 0 : slash + 1);
  if (folder.ends_with("boot")) return name.starts_with("vmlinu") && name.find('-') != std::string_view::npos;
  if (folder.find("lib/modules/") == std::string_view::npos && folder.find("lib/debug") == std::string_view::npos)
    return false;
  return name == "vmlinuz" || name == "vmlinux";
}

std::vector<IndexEntry> kernel_packages(std::string_view packages, bool debug_packages) {
  // Smaller ones hold nothing: they depend on the package that does.
  constexpr std::uint64_t least = 1'000'000;
  std::vector<IndexEntry> found;
  while (!packages.empty()) {
    const std::size_t end = packages.find("\n\n");
    std::string_view stanza = packages.substr(0, end);
    packages.remove_prefix(end == std::string_view::npos ? packages.size() : end + 2);
    IndexEntry entry;
    while (!stanza.empty()) {
      const std::size_t line_end = stanza.find('\n');
      const std::string_view line = stanza.substr(0, line_end);
      stanza.remove_prefix(line_end == std::string_view::npos ? stanza.size() : line_end + 1);
      const auto field = [&](std::string_view name, std::string& into) {
        if (line.starts_with(name)) into = trimmed(line.substr(name.size()));
      };
      field("Package: ", entry.package);
      field("Version: ", entry.version);
      field("Architecture: ", entry.architecture);
      field("Filename: ", entry.path);
      if (line.starts_with("Size: ")) entry.size = number_in(line.substr(6), 10).value_or(0);
    }
    const std::string& name = entry.package;
    const bool is_image = name.starts_with("linux-image-") || name.starts_with("linux-binary-");
    const bool is_debug = name.ends_with("-dbg") || name.ends_with("-dbgsym");
    if (is_image && is_debug == debug_packages && !name.ends_with("-unsigned") && !entry.path.empty() &&
        entry.size >= least)
      found.push_back(std::move(entry));
  }
  std::sort(found.begin(), found.end(), [](const IndexEntry& a, const IndexEntry& b) { return a.id() < b.id(); });
  found.erase(std::unique(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.id() == b.id(); }),
              found.end());
  return found;
}

}  // namespace nightjar::atlas
