// SPDX-License-Identifier: Apache-2.0
// Records from the kernel side, checked before anything is believed.
#pragma once

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "wire/file.h"
#include "wire/network.h"
#include "wire/process.h"

namespace nightjar {

using Bytes = std::span<const std::byte>;

/// The record's bytes without the padding a perf buffer adds; nothing when they are no record of this build: too short
/// for their kind, or longer than what came.
std::optional<Bytes> checked_record(Bytes bytes);

/// A wire struct of a record that checked_record accepted. The buffers align records to 8 bytes; copies do so too.
template <class T>
const T& as_wire(Bytes record) {
  return *reinterpret_cast<const T*>(record.data());
}

/// The bytes of a slice; empty when it does not lie within the record.
inline std::string_view text_of(Bytes record, wire_slice slice) {
  if (slice.off > record.size() || slice.len > record.size() - slice.off) return {};
  return {reinterpret_cast<const char*>(record.data()) + slice.off, slice.len};
}

/// Without the terminator that the kernel's string helpers count.
inline std::string_view string_of(Bytes record, wire_slice slice) {
  std::string_view text = text_of(record, slice);
  if (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  return text;
}

/// "/usr/bin/cat" from the components "cat\0bin\0usr\0"; "/" from one empty component; empty from nothing.
std::string join_path(std::string_view components);
/// The same, put into a string that has room from before.
void join_path(std::string_view components, std::string& path);

/// The elements of a block of NUL-ended strings, such as argv. A last element without a terminator counts.
std::vector<std::string_view> split_strings(std::string_view block);

}  // namespace nightjar
