// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"
#include "output/safe_path.hpp"
#include "output/spec.hpp"

namespace nightjar {

/// A listening stream socket at that place, non-blocking. A socket that a dead server left is replaced; a live one, or
/// anything else of that name, is an error.
Result<UniqueFd> listen_on_unix(const SafePlace& place, unsigned mode, int backlog);
/// A datagram (or stream) socket connected to PATH.
Result<UniqueFd> connect_to_unix(const std::string& path, int type);
/// Connected within `timeout_ms`; blocking afterwards, with that send timeout.
Result<UniqueFd> connect_to_host(const HostPort& where, int type, int timeout_ms);

}  // namespace nightjar
