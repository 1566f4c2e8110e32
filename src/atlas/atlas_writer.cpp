// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <limits>
#include <tuple>

#include <zstd.h>

#include "atlas/atlas.hpp"
#include "atlas/atlas_file.hpp"
#include "atlas/digest.hpp"
#include "atlas/files.hpp"

namespace nightjar::atlas {
namespace {

/// How many earlier layouts a layout is compared with, to be written as the difference to the nearest.
constexpr std::size_t neighbours = 12;
constexpr int compression_level = 17;

}  // namespace

class AtlasWriter {
 public:
  explicit AtlasWriter(const Atlas& atlas) : atlas_(atlas), pool_(atlas.pool_) {}

  std::string write() {
    order_kernels();
    order_types();
    std::string wanted;
    for (const Want& want : atlas_.wanted_) wanted += want.text() + "\n";
    add(SectionKind::wanted, wanted);
    add(SectionKind::types, types());
    add(SectionKind::layouts, layouts());
    add(SectionKind::kernels, kernels());

    const std::size_t table_size = entries_.size() * sizeof(SectionEntry);
    std::string rest;
    for (SectionEntry& entry : entries_) {
      entry.offset += sizeof(FileHeader) + table_size;
      Writer(rest).raw(entry);
    }
    rest += sections_;
    FileHeader header{};
    std::copy(std::begin(file_magic), std::end(file_magic), std::begin(header.magic));
    header.section_count = static_cast<std::uint32_t>(entries_.size());
    header.length = sizeof(header) + rest.size();
    const Digest digest = sha256(as_bytes(rest));
    std::copy(digest.begin(), digest.end(), std::begin(header.checksum));
    std::string out;
    Writer(out).raw(header);
    return out + rest;
  }

 private:
  void add(SectionKind kind, const std::string& content) {
    std::string packed(ZSTD_compressBound(content.size()), '\0');
    const std::size_t size =
        ZSTD_compress(packed.data(), packed.size(), content.data(), content.size(), compression_level);
    const bool smaller = ZSTD_isError(size) == 0 && size < content.size();
    packed.resize(smaller ? size : 0);
    const std::string& kept = smaller ? packed : content;
    entries_.push_back({kind, smaller ? Codec::zstd : Codec::none, sections_.size(), kept.size(), content.size()});
    sections_ += kept;
  }

  void order_kernels() {
    for (std::size_t index = 0; index < atlas_.kernels_.size(); ++index) kernel_order_.push_back(index);
    const auto key = [&](std::size_t index) {
      const Kernel& k = atlas_.kernels_[index];
      return std::tie(k.release, k.version, k.architecture, k.distribution, k.build_id, k.source, k.method);
    };
    std::sort(kernel_order_.begin(), kernel_order_.end(),
              [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
    layout_number_.assign(atlas_.layouts_.size(), SIZE_MAX);
    for (const std::size_t index : kernel_order_) {
      std::size_t& number = layout_number_[atlas_.kernels_[index].layout];
      if (number != SIZE_MAX) continue;
      number = layout_order_.size();
      layout_order_.push_back(atlas_.kernels_[index].layout);
    }
  }

  /// By what lies inside, kind, name and content: nothing of the order in which the types came.
  void order_types() {
    std::vector<bool> used(pool_.size(), false);
    std::vector<TypeId> todo;
    const auto use = [&](TypeId id) {
      if (id != 0 && !used[id]) {
        used[id] = true;
        todo.push_back(id);
      }
    };
    for (const std::size_t layout : layout_order_) {
      for (const TypeId id : atlas_.layouts_[layout]) use(id);
    }
    while (!todo.empty()) {
      const TypeId id = todo.back();
      todo.pop_back();
      for (const TypeId inner : references(pool_.at(id))) use(inner);
    }
    std::vector<unsigned> height(pool_.size(), 0);
    std::vector<Digest> digest(pool_.size());
    for (TypeId id = 1; id < pool_.size(); ++id) {  // what a type refers to comes before it in the pool
      if (!used[id]) continue;
      const Type& type = pool_.at(id);
      std::string content;
      encode(with_references(type, [](TypeId) { return TypeId{0}; }), content);
      for (const TypeId inner : references(type)) {
        height[id] = std::max(height[id], height[inner] + 1);
        content.append(as_text(digest[inner]));
      }
      digest[id] = sha256(as_bytes(content));
      type_order_.push_back(id);
    }
    std::sort(type_order_.begin(), type_order_.end(), [&](TypeId a, TypeId b) {
      const Type& x = pool_.at(a);
      const Type& y = pool_.at(b);
      return std::tie(height[a], x.kind, x.name, digest[a]) < std::tie(height[b], y.kind, y.name, digest[b]);
    });
    type_number_.assign(pool_.size(), 0);
    for (std::size_t index = 0; index < type_order_.size(); ++index)
      type_number_[type_order_[index]] = static_cast<TypeId>(index + 1);
  }

  std::string types() const {
    std::string out;
    Writer(out).number(type_order_.size());
    for (const TypeId id : type_order_)
      encode(with_references(pool_.at(id), [this](TypeId inner) { return type_number_[inner]; }), out);
    return out;
  }

  static void write_ids(const Layout& ids, std::string& out) {
    Writer write(out);
    write.number(ids.size());
    TypeId before = 0;
    for (const TypeId id : ids) write.number(id - std::exchange(before, id));
  }

  std::string layouts() const {
    std::vector<Layout> written;
    std::string out;
    Writer(out).number(layout_order_.size());
    for (const std::size_t index : layout_order_) {
      Layout layout;
      for (const TypeId id : atlas_.layouts_[index]) layout.push_back(type_number_[id]);
      std::sort(layout.begin(), layout.end());
      Layout best_removed;
      Layout best_added = layout;
      std::size_t best_back = 0;  // 0: to nothing
      for (std::size_t back = 1; back <= std::min(neighbours, written.size()); ++back) {
        const Layout& old = written[written.size() - back];
        Layout removed;
        Layout added;
        std::set_difference(old.begin(), old.end(), layout.begin(), layout.end(), std::back_inserter(removed));
        std::set_difference(layout.begin(), layout.end(), old.begin(), old.end(), std::back_inserter(added));
        if (removed.size() + added.size() >= best_removed.size() + best_added.size()) continue;
        best_back = back;
        best_removed = std::move(removed);
        best_added = std::move(added);
      }
      Writer(out).number(best_back);
      write_ids(best_removed, out);
      write_ids(best_added, out);
      written.push_back(std::move(layout));
    }
    return out;
  }

  std::string kernels() const {
    std::string out;
    Writer write(out);
    write.number(kernel_order_.size());
    for (const std::size_t index : kernel_order_) {
      const Kernel& kernel = atlas_.kernels_[index];
      for (const std::string* text : {&kernel.release, &kernel.version, &kernel.architecture, &kernel.distribution,
                                      &kernel.source, &kernel.method, &kernel.build_id})
        write.text(*text);
      write.number(layout_number_[kernel.layout]);
    }
    return out;
  }

  const Atlas& atlas_;
  const TypePool& pool_;
  std::vector<std::size_t> kernel_order_, layout_order_, layout_number_;
  std::vector<TypeId> type_order_, type_number_;
  std::vector<SectionEntry> entries_;
  std::string sections_;
};

Result<std::string> Atlas::to_bytes(const std::string& signing_key_pem) const {
  std::string out = AtlasWriter(*this).write();
  if (signing_key_pem.empty()) return out;
  SignatureBlock block{};
  const std::string key = NIGHTJAR_TRY(public_key(signing_key_pem));
  const std::string signature = NIGHTJAR_TRY(sign(as_bytes(out).first(sizeof(FileHeader)), signing_key_pem));
  std::copy(std::begin(signature_magic), std::end(signature_magic), std::begin(block.magic));
  std::copy(key.begin(), key.end(), std::begin(block.key));
  std::copy(signature.begin(), signature.end(), std::begin(block.signature));
  Writer(out).raw(block);
  return out;
}

Result<> Atlas::save(const std::string& path, const std::string& signing_key_pem) const {
  const std::string bytes = NIGHTJAR_TRY(to_bytes(signing_key_pem));
  return write_whole(path, bytes);
}

}  // namespace nightjar::atlas
