// SPDX-License-Identifier: Apache-2.0
// A kernel's memory made up after a layout, in which all facts hold; and layouts with one member moved.
#pragma once

#include <map>
#include <unordered_map>

#include "atlas/proof.hpp"

namespace nightjar::test {

class Memory {
 public:
  Memory(const atlas::LayoutIndex& index, const atlas::Knowledge& known);
  Result<std::vector<atlas::Found>> read(atlas::Start start, std::span<const atlas::Address> addresses) const;
  /// Overwrites what is there. A way that leads nowhere is made up.
  void write(atlas::Start start, const atlas::Address& address, std::string_view bytes);

 private:
  std::uint64_t word_at(std::uint64_t address) const;
  void put(std::uint64_t address, std::string_view bytes);
  void put_word(std::uint64_t address, std::uint64_t value);
  /// Where its steps lead.
  std::uint64_t end_of(atlas::Start start, const atlas::Address& address);
  /// Where the pointer there leads; made up when nothing is there.
  std::uint64_t follow(std::uint64_t address);
  std::uint64_t make_object();

  std::unordered_map<std::uint64_t, std::uint8_t> bytes_;
  std::uint64_t next_ = 0xffff888000100000;
  std::map<atlas::Start, std::uint64_t> starts_;
};

struct OwnLayout {
  atlas::TypePool pool;
  atlas::Layout layout;
};

/// The layout with the last member of the wanted path moved.
OwnLayout with_moved(const atlas::TypePool& pool, const atlas::Layout& layout, const atlas::Want& want,
                     std::int64_t bytes);

}  // namespace nightjar::test
