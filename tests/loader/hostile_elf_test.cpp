// SPDX-License-Identifier: Apache-2.0
// Bytes that are no sound BPF object: an error or a blueprint, never a crash.
#include <cstring>
#include <random>

#include <elf.h>

#include "elf_image.hpp"
#include "nightjar/blueprint.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes good_bytes() {
  return {blueprint().bytes().begin(), blueprint().bytes().end()};
}

/// A flipped byte can make ".maps" the old "maps", which is refused as what it then is.
bool is_input_error(const Error& error) {
  return error.code() == errc::corrupt || error.what().find("struct bpf_map_def") != std::string::npos;
}

void expect_corrupt(const Bytes& bytes, const std::string& what) {
  const auto parsed = ProgramBlueprint::from_bytes(bytes, "hostile.o");
  ASSERT_FALSE(parsed) << what;
  EXPECT_EQ(parsed.error().code(), errc::corrupt) << what << ": " << to_string(parsed.error());
  EXPECT_TRUE(parsed.error().what().starts_with("hostile.o: ")) << parsed.error().what();
  EXPECT_GT(parsed.error().what().size(), std::strlen("hostile.o: ")) << what;
}

TEST(HostileElf, Empty) {
  expect_corrupt({}, "empty");
}

TEST(HostileElf, Text) {
  expect_corrupt(bytes_of(std::to_array("#!/bin/sh\nexit 0\n, and some more of it, to be long")), "text");
}

TEST(HostileElf, AProgramOfThisMachine) {
  expect_corrupt(file_bytes("/proc/self/exe"), "own executable");
}

TEST(HostileElf, WrongClassByteOrderTypeAndMachine) {
  for (const auto& [offset, value] :
       std::vector<std::pair<std::size_t, int>>{{EI_CLASS, ELFCLASS32}, {EI_DATA, 3}, {16, ET_EXEC}, {18, EM_X86_64}}) {
    Bytes bytes = good_bytes();
    bytes[offset] = static_cast<std::byte>(value);
    expect_corrupt(bytes, "offset " + std::to_string(offset));
  }
}

TEST(HostileElf, TruncatedAtEveryLength) {
  const Bytes good = good_bytes();
  // The section headers are last: without their end nothing parses. The first 4 KiB at every length, then in steps.
  for (std::size_t size = 0; size < good.size(); size += size < 4096 ? 1 : 61) {
    expect_corrupt(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)),
                   "truncated to " + std::to_string(size));
  }
}

TEST(HostileElf, EveryByteOfTheHeadersFlipped) {
  const Bytes good = good_bytes();
  Elf64_Ehdr header{};
  std::memcpy(&header, good.data(), sizeof(header));
  const auto flip = [&](std::size_t from, std::size_t to) {
    for (std::size_t offset = from; offset < to; ++offset) {
      for (const unsigned mask : {0xFFU, 0x01U, 0x80U}) {
        Bytes bytes = good;
        bytes[offset] ^= static_cast<std::byte>(mask);
        const auto parsed = ProgramBlueprint::from_bytes(bytes, "hostile.o");
        if (!parsed) {
          EXPECT_TRUE(is_input_error(parsed.error())) << to_string(parsed.error());
        }
      }
    }
  };
  flip(0, sizeof(header));
  flip(header.e_shoff, good.size());
}

TEST(HostileElf, RandomBytesFlipped) {
  const Bytes good = good_bytes();
  std::mt19937 random(20220913);  // NOLINT: the same bytes every time
  std::uniform_int_distribution<std::size_t> where(0, good.size() - 1);
  std::uniform_int_distribution<unsigned> what(0, 255);
  std::uniform_int_distribution<unsigned> how_many(1, 8);
  std::size_t refused = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = good;
    for (unsigned left = how_many(random); left > 0; --left)
      bytes[where(random)] = static_cast<std::byte>(what(random));
    const auto parsed = ProgramBlueprint::from_bytes(bytes, "hostile.o");
    if (parsed) continue;
    ++refused;
    ASSERT_TRUE(is_input_error(parsed.error())) << to_string(parsed.error());
  }
  EXPECT_GT(refused, 100U);
}

TEST(HostileElf, UnalignedBytes) {
  Bytes shifted(1);
  const Bytes good = good_bytes();
  shifted.insert(shifted.end(), good.begin(), good.end());
  EXPECT_OK(ProgramBlueprint::from_bytes(std::span(shifted).subspan(1), "unaligned.o"));
}

/// A BTF of one typedef that names itself.
TEST(HostileBtf, CircleOfTypedefs) {
  struct {
    std::uint16_t magic = 0xEB9F;
    std::uint8_t version = 1, flags = 0;
    std::uint32_t header = 24, type_off = 0, type_len = 12, str_off = 12, str_len = 4;
    std::uint32_t name = 1, info = 8U << 24, type = 1;
    char strings[4] = {0, 'a', 0, 0};
  } types;
  const auto circle = check_btf(std::as_bytes(std::span(&types, 1)));
  ASSERT_FALSE(circle);
  EXPECT_NE(circle.error().what().find("circle"), std::string::npos);
  types.type = 0;
  EXPECT_OK(check_btf(std::as_bytes(std::span(&types, 1))));
  types.type = 9;
  EXPECT_FALSE(check_btf(std::as_bytes(std::span(&types, 1))));
  types.type = 0;
  types.name = 4;
  EXPECT_FALSE(check_btf(std::as_bytes(std::span(&types, 1))));
}

}  // namespace
}  // namespace nightjar::test
