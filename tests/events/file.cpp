// SPDX-License-Identifier: Apache-2.0
// File events against what the workload saw with stat(2): every operation, in order, nothing missing, nothing invented.
#include "file.hpp"

#include <sys/mount.h>
#include <sys/stat.h>

namespace nightjar::test {
namespace {

TEST(File, reports_each_operation) {
  const auto watched = watch_files({"@LOG", "@DIR", "each"});
  SKIP_IF_TOLD(watched);
  expect_file_events(watched);
}

TEST(File, reports_a_thousand_random_operations) {
  for (const char* seed : {"1", "2", "3"}) {
    const auto watched = watch_files({"@LOG", "@DIR", "random", seed, std::to_string(scaled(2003, 401))});
    SKIP_IF_TOLD(watched);
    expect_file_events(watched);
  }
}

}  // namespace
}  // namespace nightjar::test
