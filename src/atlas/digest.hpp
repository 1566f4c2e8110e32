// SPDX-License-Identifier: Apache-2.0
// SHA-256 and Ed25519, from OpenSSL's libcrypto.
#pragma once

#include <array>
#include <string>

#include "atlas/bytes.hpp"

namespace nightjar::atlas {

using Digest = std::array<std::byte, 32>;
Digest sha256(Bytes bytes);

/// 64 bytes. `key`: a private Ed25519 key as PEM (openssl genpkey -algorithm ed25519). Fails with invalid.
Result<std::string> sign(Bytes message, const std::string& key_pem);
/// The 32 bytes of the public key that belongs to a private or public key as PEM. Fails with invalid.
Result<std::string> public_key(const std::string& pem);
bool verifies(Bytes message, std::string_view signature, std::string_view public_key);

}  // namespace nightjar::atlas
