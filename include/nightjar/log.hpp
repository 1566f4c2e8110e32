// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace nightjar {

enum class LogLevel : std::uint8_t { debug, info, warning };

/// Where the library's own messages and libbpf's go. The library prints nothing by itself; an empty sink drops
/// them. Called on the thread that called the library.
using LogSink = std::function<void(LogLevel level, std::string_view text)>;

}  // namespace nightjar
