// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <optional>

#include <zstd.h>

#include "atlas/atlas.hpp"
#include "atlas/atlas_file.hpp"
#include "atlas/digest.hpp"
#include "atlas/files.hpp"

namespace nightjar::atlas {
namespace {

Error not_whole(const std::string& what) {
  return corrupt("the atlas is damaged: " + what);
}

}  // namespace

class AtlasReader {
 public:
  explicit AtlasReader(Bytes bytes) : bytes_(bytes) {}

  Result<Atlas> read(const OpenOptions& options) {
    NIGHTJAR_CHECK(check_whole());
    NIGHTJAR_CHECK(check_signature(options));
    NIGHTJAR_CHECK(unpack());
    NIGHTJAR_CHECK(read_wanted());
    NIGHTJAR_CHECK(read_types());
    NIGHTJAR_CHECK(read_layouts());
    NIGHTJAR_CHECK(read_kernels());
    atlas_.index_kernels();
    return std::move(atlas_);
  }

 private:
  Result<> check_whole() {
    if (bytes_.size() < sizeof(FileHeader)) return corrupt("not an atlas: shorter than its header");
    header_ = value_at<FileHeader>(bytes_, 0);
    if (!is_atlas(bytes_)) return corrupt("not an atlas: wrong magic");
    if (header_.magic[7] != file_magic[7]) return corrupt("an atlas of another version of nightjar");
    if (header_.length < sizeof(FileHeader) || header_.length > bytes_.size()) return not_whole("it is cut off");
    const Digest digest = sha256(bytes_.subspan(sizeof(FileHeader), header_.length - sizeof(FileHeader)));
    if (!std::equal(digest.begin(), digest.end(), std::begin(header_.checksum)))
      return not_whole("its checksum does not fit");
    return {};
  }

  Result<> check_signature(const OpenOptions& options) {
    const Bytes after = bytes_.subspan(header_.length);
    if (after.empty()) {
      if (options.trusted_key.empty()) return {};
      return Error(errc::denied, "the atlas is not signed, and a key was given that it must be signed with");
    }
    if (after.size() != sizeof(SignatureBlock)) return not_whole("there is something behind it");
    const auto block = value_at<SignatureBlock>(after, 0);
    if (!std::equal(std::begin(signature_magic), std::end(signature_magic), std::begin(block.magic)))
      return not_whole("there is something behind it that is no signature");
    const std::string_view key(block.key, sizeof(block.key));
    if (!options.trusted_key.empty() && options.trusted_key != key)
      return Error(errc::denied, "the atlas is signed with another key than the one given");
    if (!verifies(bytes_.first(sizeof(FileHeader)), {block.signature, sizeof(block.signature)}, key))
      return Error(errc::denied, "the atlas's signature does not fit");
    atlas_.signature_ = Signature::valid;
    return {};
  }

  Result<> unpack() {
    for (std::uint32_t index = 0; index < header_.section_count; ++index) {
      const Bytes table = NIGHTJAR_TRY(part_of(bytes_.first(header_.length),
                                               sizeof(FileHeader) + std::uint64_t{index} * sizeof(SectionEntry),
                                               sizeof(SectionEntry), "the table of sections"));
      const auto entry = value_at<SectionEntry>(table, 0);
      const Bytes packed = NIGHTJAR_TRY(part_of(bytes_.first(header_.length), entry.offset, entry.length, "a section"));
      const auto kind = static_cast<std::size_t>(entry.kind);
      if (kind == 0 || kind > sections_.size()) return not_whole("a section of unknown kind");
      std::string& section = sections_[kind - 1];
      if (entry.codec == Codec::none) {
        section = as_text(packed);
        continue;
      }
      if (entry.codec != Codec::zstd) return not_whole("a section of unknown codec");
      if (entry.full_length > largest_section ||
          ZSTD_getFrameContentSize(packed.data(), packed.size()) != entry.full_length)
        return not_whole("a section of a wrong length");
      section.resize(entry.full_length);
      const std::size_t size = ZSTD_decompress(section.data(), section.size(), packed.data(), packed.size());
      if (ZSTD_isError(size) != 0 || size != section.size()) return not_whole("a section cannot be decompressed");
    }
    return {};
  }

  [[nodiscard]] Cursor section(SectionKind kind) const {
    return Cursor(as_bytes(sections_[static_cast<std::size_t>(kind) - 1]));
  }

  Result<> read_wanted() {
    std::string_view rest = sections_[static_cast<std::size_t>(SectionKind::wanted) - 1];
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      if (end == std::string_view::npos) return not_whole("its list of wanted members");
      atlas_.wanted_.insert(NIGHTJAR_TRY(Want::from_text(rest.substr(0, end))));
      rest.remove_prefix(end + 1);
    }
    return {};
  }

  Result<> read_types() {
    Cursor in = section(SectionKind::types);
    const std::size_t count = in.count();
    std::vector<unsigned> depth{0};
    constexpr unsigned deepest = 200;
    for (std::size_t number = 1; number <= count; ++number) {
      const Type type = decode(in);
      if (!in.ok() || type.kind == TypeKind::none) return not_whole("a type");
      unsigned here = 0;
      for (const TypeId inner : references(type)) {
        if (inner >= number) return not_whole("a type that refers to a later one");
        here = std::max(here, depth[inner] + 1);
      }
      if (here > deepest) return not_whole("types that lie too deep in each other");
      depth.push_back(here);
      if (atlas_.pool_.add(type) != number) return not_whole("a type that is there twice");
    }
    return in.done() ? Result<>() : not_whole("something after the types");
  }

  Result<> read_ids(Cursor& in, Layout& ids) {
    std::uint64_t id = 0;
    for (std::size_t left = in.count(); left > 0; --left) {
      const std::uint64_t step = in.number();
      id += step;
      if (!in.ok() || step == 0 || id >= atlas_.pool_.size()) return not_whole("a layout");
      ids.push_back(static_cast<TypeId>(id));
    }
    return {};
  }

  Result<> read_layouts() {
    Cursor in = section(SectionKind::layouts);
    std::uint64_t in_all = 0;
    for (std::size_t left = in.count(); left > 0; --left) {
      const std::uint64_t back = in.number();
      if (back > atlas_.layouts_.size()) return not_whole("a layout that refers to none");
      Layout removed;
      Layout added;
      NIGHTJAR_CHECK(read_ids(in, removed));
      NIGHTJAR_CHECK(read_ids(in, added));
      Layout layout = back == 0 ? Layout() : atlas_.layouts_[atlas_.layouts_.size() - back];
      Layout kept;
      std::set_difference(layout.begin(), layout.end(), removed.begin(), removed.end(), std::back_inserter(kept));
      layout.clear();
      std::set_union(kept.begin(), kept.end(), added.begin(), added.end(), std::back_inserter(layout));
      in_all += layout.size();
      if (in_all * sizeof(TypeId) > largest_section) return not_whole("layouts beyond all measure");
      atlas_.known_layouts_.try_emplace(layout, atlas_.layouts_.size());
      atlas_.layouts_.push_back(std::move(layout));
    }
    return in.ok() && in.done() ? Result<>() : not_whole("its layouts");
  }

  Result<> read_kernels() {
    Cursor in = section(SectionKind::kernels);
    for (std::size_t left = in.count(); left > 0; --left) {
      Kernel kernel;
      for (std::string* text : {&kernel.release, &kernel.version, &kernel.architecture, &kernel.distribution,
                                &kernel.source, &kernel.method, &kernel.build_id})
        *text = in.text();
      kernel.layout = in.number();
      if (!in.ok() || kernel.layout >= atlas_.layouts_.size()) return not_whole("a kernel");
      atlas_.kernels_.push_back(std::move(kernel));
    }
    return in.ok() && in.done() ? Result<>() : not_whole("its kernels");
  }

  Bytes bytes_;
  FileHeader header_{};
  std::array<std::string, 4> sections_;
  Atlas atlas_;
};

Result<Atlas> Atlas::from_bytes(Bytes bytes, const OpenOptions& options) {
  return AtlasReader(bytes).read(options);
}

Result<Atlas> Atlas::open(const std::string& path, const OpenOptions& options) {
  const MappedFile file = NIGHTJAR_TRY(MappedFile::open(path));
  auto atlas = from_bytes(file.bytes(), options);
  if (!atlas) return std::move(atlas).error().in(path);
  return atlas;
}

}  // namespace nightjar::atlas
