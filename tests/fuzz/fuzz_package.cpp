// SPDX-License-Identifier: Apache-2.0
// Any bytes as a Debian package, and as a package index.
#include <cstdint>

#include "atlas/package.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nightjar::atlas;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  const SourcePointer source = source_of(bytes);
  PackageFilter filter;
  filter.wants = [](std::string_view path) { return path.size() % 2 == 0; };
  filter.take = [](std::string_view, const Content& content) -> nightjar::Result<bool> {
    return content.bytes().size() % 2 == 0;
  };
  (void)read_package(*source, filter);
  (void)kernel_packages(as_text(bytes), true);
  return 0;
}
