// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include <linux/bpf.h>

#include "nightjar/features.hpp"
#include "nightjar/program.hpp"

namespace nightjar {

/// What bpf(2) calls a kind of program.
struct KindTraits {
  bpf_prog_type type;
  bpf_attach_type attach_type;
};

/// None for kinds that many types of program fall under: their section decides.
std::optional<KindTraits> traits_of(ProgramKind kind);

/// What --without must name for programs of a kind to be absent.
std::optional<Feature> feature_of(ProgramKind kind);

}  // namespace nightjar
