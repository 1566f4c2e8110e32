// SPDX-License-Identifier: Apache-2.0
// Paths across mounts: P24.
#include "harness.hpp"

namespace nightjar::test {
namespace {

json mounts(const std::string& mode, std::string& skip) {
  const auto watched = watch("mounts", {"@LOG", "@DIR", workload("report"), mode});
  skip = watched.skip_reason();
  if (!skip.empty()) return nullptr;
  const json& report = watched.truth("report");
  const json& place = watched.truth("place");
  if (!report.is_object() || !place.is_object()) return nullptr;
  const json event = watched.only("exec", place.at("pid").get<std::int64_t>());
  // Paths are as the mount namespace sees them, not as seen from the new root.
  const bool chroot = mode == "chroot";
  expect_same(event, report, {.cwd = !chroot, .executable = !chroot});
  if (chroot) {
    EXPECT_EQ(bytes_at(event, "process.executable"), bytes_at(event, "process.working_directory") + "/program");
  }
  EXPECT_EQ(bytes_at(event, "process.executable"), from_hex(place.at("exe").get<std::string>()));
  return event;
}

class Mounts : public testing::TestWithParam<const char*> {};
TEST_P(Mounts, resolves_the_path_of_the_executable) {
  std::string skip;
  const json event = mounts(GetParam(), skip);
  if (!skip.empty()) GTEST_SKIP() << skip;
  const bool upper = std::string_view(GetParam()) == "overlay_upper";
  if (upper) {
    EXPECT_TRUE(has_element(at(event, "nightjar.exec.flags"), "upper_layer")) << event;
  }
  if (std::string_view(GetParam()) == "overlay_lower" || std::string_view(GetParam()) == "tmpfs") {
    EXPECT_FALSE(has_element(at(event, "nightjar.exec.flags"), "upper_layer")) << event;
  }
}
INSTANTIATE_TEST_SUITE_P(On, Mounts,
                         testing::Values("bind_dir", "bind_file", "over", "tmpfs", "overlay_upper", "overlay_lower",
                                         "chroot"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace nightjar::test
