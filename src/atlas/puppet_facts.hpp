// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "atlas/proof.hpp"
#include "atlas/puppet.hpp"

namespace nightjar::atlas {

/// What the kernel says about the puppet through its interfaces, and where its structures hold the same.
Knowledge knowledge_of(const Puppet& puppet);

}  // namespace nightjar::atlas
