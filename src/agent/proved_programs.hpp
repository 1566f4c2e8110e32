// SPDX-License-Identifier: Apache-2.0
// On a kernel whose layout is a proved neighbour's: only programs that read nothing but what was proved.
#pragma once

#include <map>
#include <string>

#include "agent/programs.hpp"

namespace nightjar {

/// Programs, and why they are not to be loaded.
using LeftOut = std::map<std::string, std::string>;

/// The version without optional programs that are left out, and without those that work together with them. Fails with
/// unsupported when it cannot do without one.
Result<ProgramVersion> proved_part(const ProgramVersion& version, const LeftOut& left_out);

/// Why a version lacks programs of an event; empty: it does not. `adds`: only those that add to it.
std::string left_out_because(const ProgramVersion& version, const EventSourceRow& row, const LeftOut& left_out,
                             bool adds);

}  // namespace nightjar
