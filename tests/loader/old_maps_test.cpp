// SPDX-License-Identifier: Apache-2.0
// Objects whose maps are of struct bpf_map_def, as they were built before libbpf 1.0: read, or refused with the reason.
#include "old_maps.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>

#include <elf.h>

#include <linux/bpf.h>

#include "nightjar/blueprint.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

using Names = std::vector<std::string>;

/// With the compiler's BTF, and without any.
class OldMaps : public testing::TestWithParam<const char*> {
 protected:
  static std::string path() { return object_path(GetParam()); }
};

TEST_P(OldMaps, AreReadAsWritten) {
  const auto old = ProgramBlueprint::from_file(path());
  ASSERT_OK(old);
  Names names;
  for (const auto& map : old->maps()) names.push_back(map.name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (Names{"never_used", "old_events", "old_jumps", "seen", "settings"}));
  const auto* seen = old->find_map("seen");
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->type, BPF_MAP_TYPE_HASH);
  EXPECT_EQ(seen->key_size, 4U);
  EXPECT_EQ(seen->value_size, 8U);
  EXPECT_EQ(seen->max_entries, 17U);
  EXPECT_EQ(old->find_map("old_events")->type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  EXPECT_EQ(old->find_program("old_counts")->maps, (Names{"old_jumps", "seen", "settings"}));
  EXPECT_EQ(old->find_program("old_sends")->maps, (Names{"old_events", "settings"}));
  EXPECT_EQ(old->license(), "Dual BSD/GPL");
}

TEST_P(OldMaps, WhatTheyBecameIsReadAsItIs) {
  const auto old = ProgramBlueprint::from_file(path());
  ASSERT_OK(old);
  const auto again = ProgramBlueprint::from_bytes(old->bytes(), "again.o");
  ASSERT_OK(again);
  EXPECT_TRUE(std::equal(old->bytes().begin(), old->bytes().end(), again->bytes().begin(), again->bytes().end()));
}

TEST_P(OldMaps, OfADamagedObjectAreRefusedOrRead) {
  const auto good = file_bytes(path());
  for (std::size_t size = 0; size < good.size(); size += 7) {
    EXPECT_FALSE(ProgramBlueprint::from_bytes(std::span(good).first(size), "cut.o")) << size;
  }
  std::mt19937 random(20220913);  // NOLINT: the same bytes every time
  std::uniform_int_distribution<std::size_t> where(0, good.size() - 1);
  std::uniform_int_distribution<unsigned> what(0, 255);
  std::size_t refused = 0;
  for (int round = 0; round < 5000; ++round) {
    auto bytes = good;
    for (int left = 0; left <= round % 8; ++left) bytes[where(random)] = static_cast<std::byte>(what(random));
    const auto parsed = ProgramBlueprint::from_bytes(bytes, "hostile.o");
    if (parsed) continue;
    ++refused;
    EXPECT_TRUE(parsed.error().code() == errc::corrupt || parsed.error().code() == errc::unsupported)
        << to_string(parsed.error());
  }
  EXPECT_GT(refused, 100U);
}

TEST_P(OldMaps, ThatAreStaticAreRefused) {
  auto bytes = file_bytes(path());
  Elf64_Ehdr header{};
  std::memcpy(&header, bytes.data(), sizeof(header));
  for (std::size_t index = 0; index < header.e_shnum; ++index) {
    Elf64_Shdr section{};
    std::memcpy(&section, bytes.data() + header.e_shoff + index * sizeof(section), sizeof(section));
    if (section.sh_type != SHT_SYMTAB) continue;
    for (std::size_t at = 0; at < section.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol{};
      std::byte* place = bytes.data() + section.sh_offset + at;
      std::memcpy(&symbol, place, sizeof(symbol));
      if (ELF64_ST_TYPE(symbol.st_info) == STT_OBJECT) symbol.st_info = ELF64_ST_INFO(STB_LOCAL, STT_OBJECT);
      std::memcpy(place, &symbol, sizeof(symbol));
    }
  }
  const auto refused = ProgramBlueprint::from_bytes(bytes, "sensor.o");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), errc::unsupported);
  EXPECT_NE(refused.error().what().find("is a static struct bpf_map_def"), std::string::npos) << refused.error().what();
}

INSTANTIATE_TEST_SUITE_P(Both, OldMaps, testing::Values("old_maps.bpf.o", "old_maps_no_btf.bpf.o"),
                         [](const auto& param) { return std::string(param.index == 0 ? "with_btf" : "without"); });

/// A definition of seven numbers: the five that all loaders agree on, a pin, and one more.
Result<OldMap> read(const std::array<std::uint32_t, 7>& numbers, std::size_t size = 28) {
  return read_old_map("wide", std::as_bytes(std::span(numbers)).first(size));
}

TEST(OldMapDefinition, HasFourNumbersOrMore) {
  EXPECT_EQ(read({BPF_MAP_TYPE_HASH, 4, 8, 16}, 12).error().code(), errc::corrupt);
  const auto four = read({BPF_MAP_TYPE_HASH, 4, 8, 16, 1}, 16);
  ASSERT_OK(four);
  EXPECT_EQ(four->max_entries, 16U);
  EXPECT_EQ(four->flags, 0U) << "beyond its end";
  EXPECT_EQ(read({BPF_MAP_TYPE_HASH, 4, 8, 16, 1}, 20)->flags, 1U);
}

TEST(OldMapDefinition, WhatCannotBeKnownIsRefused) {
  const auto pinned = read({BPF_MAP_TYPE_HASH, 4, 8, 16, 0, 2});
  ASSERT_FALSE(pinned);
  EXPECT_EQ(pinned.error().code(), errc::unsupported);
  EXPECT_NE(pinned.error().what().find("map wide, defined as struct bpf_map_def, asks at byte 20"), std::string::npos)
      << pinned.error().what();
  EXPECT_EQ(read({BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 16}).error().code(), errc::unsupported);
  EXPECT_EQ(read({}).error().code(), errc::corrupt);
}

}  // namespace
}  // namespace nightjar::test
