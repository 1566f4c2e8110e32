// SPDX-License-Identifier: Apache-2.0
// An atlas file of any bytes. The checksum would keep the fuzzer out, so it is made to fit first.
#include <algorithm>
#include <cstdint>
#include <string>

#include "atlas/atlas.hpp"
#include "atlas/atlas_file.hpp"
#include "atlas/btf_writer.hpp"
#include "atlas/digest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nightjar::atlas;
  std::string bytes(data, data + size);
  if (size >= sizeof(FileHeader)) {
    const Digest digest = sha256(as_bytes(bytes).subspan(sizeof(FileHeader)));
    const std::string_view text(reinterpret_cast<const char*>(digest.data()), digest.size());
    std::copy(text.begin(), text.end(), bytes.begin() + offsetof(FileHeader, checksum));
    const std::uint64_t length = size;
    bytes.replace(offsetof(FileHeader, length), sizeof length, reinterpret_cast<const char*>(&length), sizeof length);
  }
  const auto atlas = Atlas::from_bytes(as_bytes(bytes));
  if (!atlas) return 0;
  (void)atlas->to_bytes();
  for (const Layout& layout : atlas->layouts()) {
    (void)write_btf(atlas->pool(), layout);
    const LayoutIndex index(atlas->pool(), layout);
    for (const Want& want : atlas->wanted()) (void)index.places(want);
  }
  return 0;
}
