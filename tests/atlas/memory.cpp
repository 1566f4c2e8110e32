// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <algorithm>
#include <cstring>

namespace nightjar::test {

using atlas::Address;
using atlas::Fact;
using atlas::Found;
using atlas::Shape;
using atlas::Start;

namespace {

constexpr std::uint64_t lowest = 0xffff800000000000;
constexpr std::uint64_t between_objects = 0x20000;

std::uint64_t word_in(std::string_view bytes, std::size_t index) {
  return atlas::value_at<std::uint64_t>(atlas::as_bytes(bytes), index * 8);
}

}  // namespace

Memory::Memory(const atlas::LayoutIndex& index, const atlas::Knowledge& known) {
  starts_ = {{Start::thread, make_object()}, {Start::exec, make_object()}};
  std::vector<std::pair<const Fact*, std::uint64_t>> ends;
  for (const Fact& fact : known.facts) {
    const auto address = atlas::address_of(atlas::Chain::parse(fact.path), index);
    if (!address) continue;
    ends.emplace_back(&fact, end_of(fact.start, *address));
  }
  for (const auto& [fact, at] : ends) {
    if (fact->shape == Shape::equal) put(at, fact->expected);
    const std::uint64_t first = word_in(fact->expected, 0), second = word_in(fact->expected, 1);
    if (fact->shape == Shape::soon_after) {
      put_word(at, first + 100);
      put_word(at + 8, first + 150);
    } else if (fact->shape == Shape::cpu_times) {
      put_word(at, first / 2);
      put_word(at + 8, first / 3);
      put_word(at + 8 * (2 + second), first / 2);
      put_word(at + 8 * (3 + second), first - first / 2);
    } else if (fact->shape == Shape::pointers) {
      for (std::uint64_t one = 0; one < first; ++one) (void)follow(at + 8 * one);
      put_word(at + 8 * first, 3);
    }
  }
  // Last: what they stand beside is there now.
  for (const auto& [fact, at] : ends) {
    if (fact->shape == Shape::pointer_twice) put_word(at + 16, follow(at + 8));
    if (fact->shape == Shape::pointer_last) (void)follow(at + 8);
  }
}

std::uint64_t Memory::end_of(Start start, const Address& address) {
  std::uint64_t at = starts_.at(start);
  for (const std::int64_t offset : address.pointers) at = follow(at + static_cast<std::uint64_t>(offset));
  return at + static_cast<std::uint64_t>(address.last);
}

void Memory::write(Start start, const Address& address, std::string_view bytes) {
  put(end_of(start, address), bytes);
}

std::uint64_t Memory::make_object() {
  next_ += between_objects;
  return next_;
}

std::uint64_t Memory::word_at(std::uint64_t address) const {
  std::uint64_t value = 0;
  for (unsigned at = 0; at < 8; ++at) {
    const auto found = bytes_.find(address + at);
    if (found != bytes_.end()) value |= std::uint64_t{found->second} << (8 * at);
  }
  return value;
}

void Memory::put(std::uint64_t address, std::string_view bytes) {
  for (const char byte : bytes) bytes_[address++] = static_cast<std::uint8_t>(byte);
}

void Memory::put_word(std::uint64_t address, std::uint64_t value) {
  put(address, {reinterpret_cast<const char*>(&value), sizeof value});
}

std::uint64_t Memory::follow(std::uint64_t address) {
  const std::uint64_t there = word_at(address);
  if (there >= lowest) return there;
  const std::uint64_t object = make_object();
  put_word(address, object);
  return object;
}

Result<std::vector<Found>> Memory::read(Start start, std::span<const Address> addresses) const {
  std::vector<Found> all;
  for (const Address& address : addresses) {
    std::uint64_t at = starts_.at(start);
    bool lost = false;
    for (const std::int64_t offset : address.pointers) {
      if (!lost) at = word_at(at + static_cast<std::uint64_t>(offset));
      lost = lost || at < lowest;
    }
    Found& found = all.emplace_back();
    if (lost) continue;
    found.emplace();
    for (std::size_t byte = 0; byte < atlas::bytes_at_once; ++byte) {
      const auto known = bytes_.find(at + static_cast<std::uint64_t>(address.last) + byte);
      found->push_back(known == bytes_.end() ? '\0' : static_cast<char>(known->second));
    }
  }
  return all;
}

namespace {

struct Mover {
  const atlas::TypePool& from;
  atlas::TypePool& to;
  atlas::TypeId record;
  std::size_t member;
  std::int64_t bytes;
  std::map<atlas::TypeId, atlas::TypeId> copied;

  atlas::TypeId copy(atlas::TypeId id) {
    if (id == 0) return 0;
    if (const auto known = copied.find(id); known != copied.end()) return known->second;
    atlas::Type type = from.at(id);
    if (id == record) {
      std::uint32_t& offset = type.members[member].bit_offset;
      offset = static_cast<std::uint32_t>(static_cast<std::int64_t>(offset) + bytes * 8);
    }
    return copied[id] =
               to.add(atlas::with_references(std::move(type), [this](atlas::TypeId inner) { return copy(inner); }));
  }
};

}  // namespace

OwnLayout with_moved(const atlas::TypePool& pool, const atlas::Layout& layout, const atlas::Want& want,
                     std::int64_t bytes) {
  OwnLayout own;
  const auto places = atlas::LayoutIndex(pool, layout).places(want);
  if (places.empty()) return own;
  const auto [record, member] = places.front().steps.back();
  if (bytes < 0 && pool.at(record).members[member].bit_offset < static_cast<std::uint64_t>(-bytes) * 8) return own;
  Mover mover{pool, own.pool, record, member, bytes, {}};
  for (const atlas::TypeId id : layout) own.layout.push_back(mover.copy(id));
  std::sort(own.layout.begin(), own.layout.end());
  return own;
}

}  // namespace nightjar::test
