// SPDX-License-Identifier: Apache-2.0
// The chosen part of the environment; the rest may hold secrets and is never read out.
#include <set>

#include "harness.hpp"

namespace nightjar::test {
namespace {

std::set<std::string> env_of(const Watched& watched) {
  std::set<std::string> names;
  const auto execs = watched.stream.of("exec");
  if (execs.size() != 1) {
    ADD_FAILURE() << execs.size() << " execs";
    return names;
  }
  for (const auto& one : at(execs[0], "process.env_vars")) names.insert(one.get<std::string>());
  return names;
}

const Strings variables = {"LD_LIBRARY_PATH=/nonexistent/lib", "SSH_CONNECTION=192.0.2.1 2 192.0.2.3 22",
                           "NJ_SECRET=hidden", "NJ_SECRET_TOO=hidden", "NJ_EMPTY="};

TEST(Environment, is_reported_as_chosen_by_default) {
  const auto watched = watch_command({workload("tiny"), "0"}, {.environment = variables});
  EXPECT_EQ(env_of(watched), (std::set<std::string>{variables[0], variables[1]}));
  EXPECT_EQ(watched.outcome.out.find("hidden"), std::string::npos);
}

TEST(Environment, is_reported_as_asked_for) {
  const auto watched =
      watch_command({workload("tiny"), "0"},
                    {.options = {"--events", "process", "--env", "NJ_SECRET,NJ_EMPTY"}, .environment = variables});
  const auto env = env_of(watched);
  EXPECT_TRUE(env.contains("NJ_SECRET=hidden") && env.contains("NJ_EMPTY="));
  EXPECT_FALSE(env.contains("NJ_SECRET_TOO=hidden")) << "a name that only begins alike";
}

// A large environment must not hide the variable that stands last in it.
TEST(Environment, is_found_behind_100_kib_of_others) {
  Strings many;
  for (int i = 0; i < 25; i++) many.push_back("NJ_FILL_" + std::to_string(i) + "=" + std::string(4001, 'f'));
  many.emplace_back("NJ_LAST=found");
  const auto watched = watch_command({workload("tiny"), "0"},
                                     {.options = {"--events", "process", "--env", "NJ_LAST"}, .environment = many});
  const auto execs = watched.stream.of("exec");
  ASSERT_EQ(execs.size(), 1U);
  // Found, or told to be incomplete: never silently absent.
  EXPECT_TRUE(env_of(watched).contains("NJ_LAST=found") ||
              has_element(at(execs[0], "nightjar.incomplete"), "process.env_vars"))
      << execs[0];
}

}  // namespace
}  // namespace nightjar::test
