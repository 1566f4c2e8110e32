// SPDX-License-Identifier: Apache-2.0
// SHA-1 (FIPS 180-4) of a few bytes, because the Community ID is defined by it. Not for anything that must be secure.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace nightjar {

std::array<std::uint8_t, 20> sha1(std::span<const std::uint8_t> message);

}  // namespace nightjar
