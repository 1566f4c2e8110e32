// SPDX-License-Identifier: Apache-2.0
// Working directories and paths that are long, deep, gone. P5.
#include "harness.hpp"

namespace nightjar::test {
namespace {

struct Place {
  Watched watched;
  json event;
  std::string cwd, exe;  // by the workload's own count
};

Place deep_path(const std::string& mode, const Comparison& what) {
  Place place{watch("deep_path", {"@LOG", "@DIR", workload("report"), mode}), nullptr, {}, {}};
  const json& report = place.watched.truth("report");
  const json& truth = place.watched.truth("place");
  if (!report.is_object() || !truth.is_object()) return place;
  place.event = place.watched.only("exec", report.at("pid").get<std::int64_t>());
  expect_same(place.event, report, what);
  place.cwd = from_hex(truth.at("cwd").get<std::string>());
  place.exe = from_hex(truth.at("exe").get<std::string>());
  return place;
}

TEST(ExecPaths, reports_the_root_as_working_directory) {
  const auto place = deep_path("cwd_root", {});
  EXPECT_EQ(bytes_at(place.event, "process.working_directory"), "/");
}

TEST(ExecPaths, reports_a_working_directory_200_levels_deep) {
  const auto place = deep_path("cwd_deep", {});
  EXPECT_EQ(bytes_at(place.event, "process.working_directory"), place.cwd);
}

TEST(ExecPaths, reports_a_working_directory_of_more_than_4096_bytes) {
  const auto place = deep_path("cwd_long", {.cwd = false});
  ASSERT_GT(place.cwd.size(), 4096U);
  EXPECT_EQ(bytes_at(place.event, "process.working_directory"), place.cwd);
}

TEST(ExecPaths, reports_a_deleted_working_directory_by_its_old_path) {
  const auto place = deep_path("cwd_deleted", {.cwd = false});
  EXPECT_EQ(bytes_at(place.event, "process.working_directory"), place.cwd);
}

// P24, S6: longer than PATH_MAX, the whole path or a mark with its size; its identity in any case.
TEST(ExecPaths, reports_an_executable_path_of_more_than_4096_bytes) {
  const auto place = deep_path("path_long", {.cwd = false, .executable = false});
  ASSERT_GT(place.exe.size(), 4096U);
  EXPECT_EQ(bytes_at(place.event, "process.executable"), place.exe);
  EXPECT_EQ(text_at(place.event, "nightjar.exec.filename"), "./program");
  EXPECT_EQ(text_at(place.event, "file.inode"), place.watched.truth("file").at("ino").dump());
}

TEST(ExecPaths, reports_it_when_executed_by_descriptor_from_elsewhere) {
  const auto place = deep_path("path_long_fexecve", {.executable = false});
  EXPECT_EQ(bytes_at(place.event, "process.executable"), place.exe);
  EXPECT_EQ(bytes_at(place.event, "process.working_directory"), "/");
}

}  // namespace
}  // namespace nightjar::test
