// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <string>
#include <vector>

#include <linux/btf.h>

#include "elf_image.hpp"

namespace nightjar {
namespace {

constexpr std::uint32_t last_kind = 19;  // BTF_KIND_ENUM64

Error corrupt(std::string what) {
  return {errc::corrupt, std::move(what)};
}

template <class T>
T read_at(std::span<const std::byte> bytes, std::size_t offset) {
  T value{};
  std::memcpy(&value, bytes.subspan(offset, sizeof(T)).data(), sizeof(T));
  return value;
}

class Checker {
 public:
  Checker(std::span<const std::byte> types, std::span<const std::byte> strings) : types_(types), strings_(strings) {}

  Result<> check() {
    if (strings_.empty() || strings_.front() != std::byte{0} || strings_.back() != std::byte{0}) {
      return corrupt("the strings do not begin and end with NUL");
    }
    NIGHTJAR_CHECK(index_types());
    for (id_ = 1; id_ < offsets_.size(); ++id_) NIGHTJAR_CHECK(check_type());
    for (id_ = 1; id_ < offsets_.size(); ++id_) NIGHTJAR_CHECK(check_chain());
    return {};
  }

 private:
  struct Type {
    btf_type header{};
    std::span<const std::byte> tail;

    [[nodiscard]] std::uint32_t kind() const { return BTF_INFO_KIND(header.info); }
    [[nodiscard]] std::uint32_t count() const { return BTF_INFO_VLEN(header.info); }
  };

  static std::size_t tail_size(std::uint32_t kind, std::size_t count) {
    switch (kind) {
      case BTF_KIND_INT:
      case BTF_KIND_VAR:
      case BTF_KIND_DECL_TAG:
        return sizeof(std::uint32_t);
      case BTF_KIND_ARRAY:
        return sizeof(btf_array);
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION:
        return count * sizeof(btf_member);
      case BTF_KIND_ENUM:
        return count * sizeof(btf_enum);
      case BTF_KIND_ENUM64:
        return count * (3 * sizeof(std::uint32_t));
      case BTF_KIND_FUNC_PROTO:
        return count * sizeof(btf_param);
      case BTF_KIND_DATASEC:
        return count * sizeof(btf_var_secinfo);
      default:
        return 0;
    }
  }

  Result<> index_types() {
    offsets_.assign(1, 0);  // type 0 is void
    std::size_t offset = 0;
    while (offset < types_.size()) {
      if (types_.size() - offset < sizeof(btf_type)) return corrupt("the last type is cut off");
      const auto header = read_at<btf_type>(types_, offset);
      const std::uint32_t kind = BTF_INFO_KIND(header.info);
      if (kind == 0 || kind > last_kind) return corrupt("type of unknown kind " + std::to_string(kind));
      const std::size_t size = sizeof(btf_type) + tail_size(kind, BTF_INFO_VLEN(header.info));
      if (size > types_.size() - offset) return corrupt("the last type is cut off");
      offsets_.push_back(offset);
      offset += size;
    }
    return {};
  }

  [[nodiscard]] Type type(std::size_t id) const {
    Type found;
    found.header = read_at<btf_type>(types_, offsets_[id]);
    found.tail = types_.subspan(offsets_[id] + sizeof(btf_type), tail_size(found.kind(), found.count()));
    return found;
  }

  Result<> name(std::uint32_t offset) const {
    if (offset < strings_.size()) return {};
    return corrupt("type " + std::to_string(id_) + ": its name is outside of the strings");
  }
  Result<> reference(std::uint32_t id) const {
    if (id < offsets_.size()) return {};
    return corrupt("type " + std::to_string(id_) + " refers to type " + std::to_string(id) + ", which is not there");
  }

  /// Each element of the tail: its name and type where it has such.
  template <class Element, class Visit>
  Result<> each(const Type& of, Visit&& visit) const {
    for (std::size_t index = 0; index < of.count(); ++index) {
      NIGHTJAR_CHECK(visit(read_at<Element>(of.tail, index * sizeof(Element))));
    }
    return {};
  }

  Result<> check_type() const {
    const Type checked = type(id_);
    NIGHTJAR_CHECK(name(checked.header.name_off));
    const auto named_and_typed = [this](const auto& element) -> Result<> {
      NIGHTJAR_CHECK(name(element.name_off));
      return reference(element.type);
    };
    switch (checked.kind()) {
      case BTF_KIND_PTR:
      case BTF_KIND_TYPEDEF:
      case BTF_KIND_VOLATILE:
      case BTF_KIND_CONST:
      case BTF_KIND_RESTRICT:
      case BTF_KIND_TYPE_TAG:
      case BTF_KIND_VAR:
      case BTF_KIND_DECL_TAG:
        return reference(checked.header.type);
      case BTF_KIND_FUNC:
        NIGHTJAR_CHECK(reference(checked.header.type));
        if (checked.header.type == 0 || type(checked.header.type).kind() != BTF_KIND_FUNC_PROTO) {
          return corrupt("function " + std::to_string(id_) + " has no prototype");
        }
        return {};
      case BTF_KIND_ARRAY: {
        const auto array = read_at<btf_array>(checked.tail, 0);
        NIGHTJAR_CHECK(reference(array.type));
        return reference(array.index_type);
      }
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION:
        return each<btf_member>(checked, named_and_typed);
      case BTF_KIND_FUNC_PROTO:
        NIGHTJAR_CHECK(reference(checked.header.type));
        return each<btf_param>(checked, named_and_typed);
      case BTF_KIND_ENUM:
        return each<btf_enum>(checked, [this](const btf_enum& value) { return name(value.name_off); });
      case BTF_KIND_DATASEC:
        return each<btf_var_secinfo>(checked, [this](const btf_var_secinfo& variable) -> Result<> {
          NIGHTJAR_CHECK(reference(variable.type));
          const std::uint32_t kind = variable.type == 0 ? 0 : type(variable.type).kind();
          if (kind != BTF_KIND_VAR && kind != BTF_KIND_FUNC) {
            return corrupt("section type " + std::to_string(id_) + " holds something that is no variable");
          }
          return {};
        });
      default:
        return {};
    }
  }

  /// From this type through modifiers and array elements: must end.
  Result<> check_chain() const {
    constexpr int longest = 32;  // libbpf's own limit where it has one
    std::size_t at = id_;
    for (int step = 0; step < longest; ++step) {
      if (at == 0) return {};
      const Type current = type(at);
      switch (current.kind()) {
        case BTF_KIND_TYPEDEF:
        case BTF_KIND_VOLATILE:
        case BTF_KIND_CONST:
        case BTF_KIND_RESTRICT:
        case BTF_KIND_TYPE_TAG:
        case BTF_KIND_VAR:
          at = current.header.type;
          break;
        case BTF_KIND_ARRAY:
          at = read_at<btf_array>(current.tail, 0).type;
          break;
        default:
          return {};
      }
    }
    return corrupt("type " + std::to_string(id_) + " goes in a circle");
  }

  std::span<const std::byte> types_;
  std::span<const std::byte> strings_;
  std::vector<std::size_t> offsets_;
  std::size_t id_ = 0;
};

}  // namespace

Result<> check_btf(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(btf_header)) return corrupt("shorter than its header");
  const auto header = read_at<btf_header>(bytes, 0);
  if (header.magic != BTF_MAGIC) return corrupt("wrong magic");
  if (header.version != BTF_VERSION) return corrupt("unknown version " + std::to_string(header.version));
  if (header.hdr_len < sizeof(btf_header) || header.hdr_len > bytes.size()) return corrupt("header of unknown size");
  const std::span<const std::byte> body = bytes.subspan(header.hdr_len);
  const auto inside = [&](std::uint64_t offset, std::uint64_t size) {
    return offset <= body.size() && size <= body.size() - offset;
  };
  if (!inside(header.type_off, header.type_len) || !inside(header.str_off, header.str_len)) return corrupt("truncated");
  if (header.type_off % 4 != 0) return corrupt("types are not aligned");
  return Checker(body.subspan(header.type_off, header.type_len), body.subspan(header.str_off, header.str_len)).check();
}

}  // namespace nightjar
