// SPDX-License-Identifier: Apache-2.0
#include "wire/passages.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace nightjar {
namespace {

std::string_view bytes_at(Bytes record, std::uint32_t offset, std::uint32_t size) {
  return {reinterpret_cast<const char*>(record.data()) + offset, size};
}

bool same_leaf(const Leaf& a, const Leaf& b) {
  return a.field == b.field && a.offset == b.offset && a.fact == b.fact && a.constant == b.constant &&
         a.convert == b.convert && a.choices.data() == b.choices.data() && a.otherwise == b.otherwise;
}

}  // namespace

Passage::Passage(Plan steps) : steps_(std::move(steps)) {
  for (const Step& step : steps_) {
    if (step.what != Step::What::leaf) continue;
    if (step.leaf.field != nullptr) {
      ranges_.push_back({step.leaf.offset, step.leaf.field->size});
    } else if (step.leaf.fact != Fact::count_) {
      facts_.push_back(step.leaf.fact);
    }
  }
  std::ranges::sort(ranges_, {}, &Range::offset);
  std::vector<Range> joined;
  for (const Range& range : ranges_) {
    if (!joined.empty() && joined.back().offset + joined.back().size >= range.offset) {
      joined.back().size = std::max(joined.back().size, range.offset + range.size - joined.back().offset);
    } else {
      joined.push_back(range);
    }
  }
  ranges_ = std::move(joined);
}

bool Passage::operator==(const Passage& other) const {
  return std::ranges::equal(steps_, other.steps_, [](const Step& a, const Step& b) {
    return a.what == b.what && a.key == b.key && same_leaf(a.leaf, b.leaf);
  });
}

std::size_t Passage::hash(Bytes record) const {
  constexpr std::uint64_t spread = 0x9e3779b97f4a7c15ULL;
  std::uint64_t all = reinterpret_cast<std::uintptr_t>(this) * spread;
  for (const auto& [offset, size] : ranges_) {
    for (std::uint32_t at = 0; at + sizeof(std::uint32_t) <= size; at += sizeof(std::uint32_t)) {
      std::uint32_t word = 0;
      std::memcpy(&word, record.data() + offset + at, sizeof word);
      all = (all ^ word) * spread;
    }
  }
  return static_cast<std::size_t>(all >> 32);
}

// First what has the same place in all inputs of a passage: bytes of the record, and the sizes of the facts.
std::string Passage::inputs(Bytes record, const Facts& facts) const {
  std::string all;
  for (const auto& [offset, size] : ranges_) all += bytes_at(record, offset, size);
  for (const Fact fact : facts_) {
    const std::size_t size = facts[fact].size();
    all.append(reinterpret_cast<const char*>(&size), sizeof size);
  }
  for (const Fact fact : facts_) all += facts[fact];
  return all;
}

bool Passage::reads(Bytes record, const Facts& facts, std::string_view inputs) const {
  const char* at = inputs.data();
  const auto next_is = [&at](const void* bytes, std::size_t size) {
    const bool is = std::memcmp(at, bytes, size) == 0;
    at += size;
    return is;
  };
  for (const auto& [offset, size] : ranges_) {
    if (!next_is(record.data() + offset, size)) return false;
  }
  for (const Fact fact : facts_) {
    const std::size_t size = facts[fact].size();
    if (!next_is(&size, sizeof size)) return false;
  }
  return std::ranges::all_of(facts_, [&](Fact fact) {
    const std::string_view value = facts[fact];
    return value.empty() || next_is(value.data(), value.size());
  });
}

}  // namespace nightjar
