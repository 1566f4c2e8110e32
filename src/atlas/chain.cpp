// SPDX-License-Identifier: Apache-2.0
#include "atlas/chain.hpp"

#include <algorithm>
#include <charconv>

namespace nightjar::atlas {
namespace {

std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<Term> parse_step(std::string_view text) {
  std::vector<Term> terms;
  std::int64_t sign = 1, factor = 1;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    if (word == "+" || word == "-") {
      sign = word == "+" ? 1 : -1;
      factor = 1;
    } else if (const auto number = number_in(word)) {
      if (text.starts_with("* ")) {
        factor = *number;
        text.remove_prefix(2);
      } else {
        terms.push_back({.want = {}, .factor = 0, .constant = sign * *number});
      }
    } else if (auto want = Want::from_text(word)) {
      terms.push_back({.want = std::move(*want), .factor = sign * factor, .constant = 0});
    }
  }
  return terms;
}

std::optional<std::int64_t> offset_in(const LayoutIndex& index, const Want& want) {
  std::optional<std::int64_t> offset;
  if (want.path.empty()) {
    const auto& types = index.find(want.kind, want.root);
    if (types.empty()) return std::nullopt;
    for (const TypeId type : types) {
      const auto size = static_cast<std::int64_t>(index.pool().size_of(type));
      if (offset && *offset != size) return std::nullopt;
      offset = size;
    }
    return offset;
  }
  for (const Place& place : index.places(want)) {
    const auto bytes = static_cast<std::int64_t>(place.bit_offset / 8);
    if (place.bit_offset % 8 != 0 || (offset && *offset != bytes)) return std::nullopt;
    offset = bytes;
  }
  return offset;
}

}  // namespace

Chain Chain::parse(const std::vector<std::string>& steps) {
  Chain chain;
  for (const std::string& step : steps) chain.steps.push_back(parse_step(step));
  return chain;
}

std::vector<Want> Chain::wants() const {
  std::vector<Want> wants;
  for (const auto& step : steps) {
    for (const Term& term : step) {
      if (term.want && std::find(wants.begin(), wants.end(), *term.want) == wants.end()) wants.push_back(*term.want);
    }
  }
  return wants;
}

bool can_be_moved(const LayoutIndex& index, const Moved& moved) {
  const auto offset = offset_in(index, *moved.want);
  return !offset || *offset + moved.bytes >= 0;
}

std::optional<Address> address_of(const Chain& chain, const LayoutIndex& index, const Moved& moved) {
  Address address;
  for (const auto& step : chain.steps) {
    std::int64_t sum = 0;
    for (const Term& term : step) {
      sum += term.constant;
      if (!term.want) continue;
      const auto offset = offset_in(index, *term.want);
      if (!offset) return std::nullopt;
      sum += term.factor * (*offset + (moved.want != nullptr && *moved.want == *term.want ? moved.bytes : 0));
    }
    address.pointers.push_back(sum);
  }
  if (address.pointers.empty()) return std::nullopt;
  address.last = address.pointers.back();
  address.pointers.pop_back();
  return address;
}

}  // namespace nightjar::atlas
