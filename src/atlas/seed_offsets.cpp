// SPDX-License-Identifier: Apache-2.0
#include "atlas/seed_offsets.hpp"

namespace nightjar::atlas {

static_assert(seed_key(seed_gate) == 0xec6642829d632573);
static_assert(seed_key(seed_version) == 0xbd0860b98f6d2ade);

Result<std::vector<std::string>> fill_seed_offsets(const Map& offsets, const LayoutIndex& index,
                                                   const std::vector<std::string>& names,
                                                   std::uint32_t kernel_version) {
  if (offsets.key_size() != sizeof(std::uint64_t) || offsets.value_size() != sizeof(std::uint32_t))
    return Error(errc::invalid, "map " + offsets.name() + " is not of 8-byte keys and 4-byte values");
  std::vector<std::string> absent;
  for (const std::string& name : names) {
    const auto want = Want::from_text(name);
    if (!want || want->path.empty()) return Error(errc::invalid, "'" + name + "' is not STRUCT->MEMBER");
    const auto places = index.places(*want);
    if (places.empty()) {
      absent.push_back(name);
      continue;
    }
    NIGHTJAR_CHECK(offsets.set(seed_key(name), static_cast<std::uint32_t>(places.front().bit_offset / 8)));
  }
  NIGHTJAR_CHECK(offsets.set(seed_key(seed_version), kernel_version));
  NIGHTJAR_CHECK(offsets.set(seed_key(seed_gate), std::uint32_t{1}));
  return absent;
}

}  // namespace nightjar::atlas
