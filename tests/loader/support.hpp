// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "nightjar/program_group.hpp"

namespace nightjar::test {

/// An object beside the running executable.
std::string object_path(const std::string& name = "loader_test.bpf.o");

/// Its blueprint; the test fails when it does not parse.
const ProgramBlueprint& blueprint();

std::vector<std::byte> file_bytes(const std::string& path);

/// prctl(PR_SET_NAME): fires task_rename once for this process.
void rename_self();

/// Descriptor to what it refers to, as /proc/self/fd says.
std::map<int, std::string> open_descriptors();

/// Options whose programs see this process only.
GroupOptions only_me();

/// Value of counters[key]; 0 when absent.
std::uint64_t counter(const Map& counters, std::uint32_t key);

/// Loads one version of the test object.
Result<LoadedGroup> load(const ProgramVersion& version, GroupOptions options = only_me());

template <class T>
std::vector<std::byte> bytes_of(const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  return {bytes.begin(), bytes.end()};
}

/// True, or false with the error's text.
template <class Outcome>
testing::AssertionResult is_ok(const Outcome& outcome) {
  if (outcome.has_value()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << to_string_verbose(outcome.error());
}

}  // namespace nightjar::test

#define ASSERT_OK(outcome) ASSERT_TRUE(nightjar::test::is_ok(outcome))
#define EXPECT_OK(outcome) EXPECT_TRUE(nightjar::test::is_ok(outcome))

/// Skips the test where the kernel lacks the feature, saying why.
#define NEEDS(feature)                                                                                              \
  do {                                                                                                              \
    nightjar::Features features_of_this_kernel;                                                                     \
    const nightjar::FeatureAnswer& answer_of_this_kernel = features_of_this_kernel.ask(nightjar::Feature::feature); \
    if (answer_of_this_kernel.answer != nightjar::Answer::yes)                                                      \
      GTEST_SKIP() << "the kernel lacks " #feature ": " << answer_of_this_kernel.why;                               \
  } while (false)
