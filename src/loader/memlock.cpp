// SPDX-License-Identifier: Apache-2.0
#include "memlock.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "nightjar/privileges.hpp"

namespace nightjar {
namespace {

constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();
static_assert(RLIM_INFINITY == no_limit, "rlim_t is 64 bits wide");

Result<rlimit> read_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return Error::from_errno("RLIMIT_MEMLOCK");
  return limit;
}

}  // namespace

Result<std::uint64_t> memlock_limit() {
  const rlimit limit = NIGHTJAR_TRY(read_limit());
  return limit.rlim_cur;
}

Result<> set_memlock_limit(std::uint64_t bytes) {
  rlimit limit = NIGHTJAR_TRY(read_limit());
  limit.rlim_cur = bytes;
  limit.rlim_max = std::max(limit.rlim_max, limit.rlim_cur);
  if (::setrlimit(RLIMIT_MEMLOCK, &limit) == 0) return {};
  return Error::from_errno("set RLIMIT_MEMLOCK to " + (bytes == no_limit ? "unlimited" : std::to_string(bytes)) +
                           " (above the hard limit it needs CAP_SYS_RESOURCE)");
}

Result<> MemlockChange::set(std::uint64_t bytes) {
  const rlimit before = NIGHTJAR_TRY(read_limit());
  NIGHTJAR_CHECK(set_memlock_limit(bytes));
  before_ = before;
  return {};
}

MemlockChange::~MemlockChange() {
  // Lowering needs no privilege: it cannot fail in a way that could be mended here.
  if (before_) (void)::setrlimit(RLIMIT_MEMLOCK, &*before_);
}

}  // namespace nightjar
