// SPDX-License-Identifier: Apache-2.0
// argv, in full and to the byte.
#include "harness.hpp"

namespace nightjar::test {
namespace {

std::uint64_t fnv1a(const std::string& bytes) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

std::string joined(const Strings& args) {
  std::string all;
  for (const auto& one : args) all.append(one).push_back('\0');
  return all;
}

// Runs exec_args; every byte of argv must have arrived.
void expect_whole_argv(const Strings& mode) {
  Strings arguments{"@LOG", workload("report")};
  arguments.insert(arguments.end(), mode.begin(), mode.end());
  const auto watched = watch("exec_args", arguments);
  SKIP_IF_TOLD(watched);
  const json& report = watched.truth("report");
  ASSERT_TRUE(report.is_object());
  const json& event = watched.only("exec", report.at("pid").get<std::int64_t>());
  expect_same(event, report);
  const auto all = joined(args_of(event));
  EXPECT_EQ(all.size(), report.at("cmdline_size").get<std::size_t>());
  EXPECT_EQ(fnv1a(all), std::stoull(report.at("cmdline_hash").get<std::string>(), nullptr, 16));
  EXPECT_EQ(at(event, "process.args_count"), report.at("cmdline_count"));
  EXPECT_TRUE(at(event, "nightjar.truncated").is_null()) << at(event, "nightjar.truncated");
}

// P22
TEST(ExecArgs, keeps_empty_strings) {
  expect_whole_argv({"empties"});
}
TEST(ExecArgs, keeps_an_argv_of_empty_strings_only) {
  expect_whole_argv({"all_empty"});
}
// P22, P28: since 5.18 the kernel makes it {""}; before, argv is empty. The program's own view is the truth.
TEST(ExecArgs, reports_what_the_program_sees_when_argc_is_0) {
  expect_whole_argv({"none"});
}
TEST(ExecArgs, keeps_newlines_escapes_quotes_and_invalid_utf8) {
  expect_whole_argv({"odd"});
}

TEST(ExecArgs, replaces_bad_bytes_in_the_text_and_keeps_them_in_base64) {
  const auto watched = watch("exec_args", {"@LOG", workload("report"), "odd"});
  const json& event = watched.only("exec", watched.truth("report").at("pid").get<std::int64_t>());
  ASSERT_EQ(at(event, "process.args").size(), 11U);
  EXPECT_EQ(at(event, "process.args")[3], "\xef\xbf\xbd\xef\xbf\xbd invalid \xef\xbf\xbd");
  EXPECT_EQ(at(event, "process.args")[6], "\xe2\x82\xac euro \xf0\x9f\xa6\x89 owl");
  ASSERT_EQ(raw_at(event, "process.args").size(), 11U) << event;
  EXPECT_EQ(from_base64(text_at(raw_at(event, "process.args")[3], "")), "\xff\xfe invalid \xc3");
  // No raw terminal escape may reach a terminal through the stream.
  EXPECT_EQ(watched.outcome.out.find('\x1b'), std::string::npos);
}

// P23: around every size at which a buffer of somebody ended.
class ExecArgsSize : public testing::TestWithParam<int> {};
TEST_P(ExecArgsSize, keeps_many_arguments_of_that_size_in_all) {
  expect_whole_argv({"many", std::to_string(GetParam())});
}
INSTANTIATE_TEST_SUITE_P(Bytes, ExecArgsSize,
                         testing::Values(97, 4095, 4096, 4097, 8191, 8192, 16382, 16383, 16384, 32767, 32768, 65535,
                                         65536, 131071, 131072));

TEST(ExecArgs, keeps_one_argument_of_128_kib) {
  expect_whole_argv({"one", "131073"});
}  // MAX_ARG_STRLEN with its NUL

// More than is promised: whole, or cut with a mark that tells the full size.
void expect_whole_or_marked(const std::string& size) {
  const auto watched = watch("exec_args", {"@LOG", workload("report"), "many", size});
  SKIP_IF_TOLD(watched);
  const json& report = watched.truth("report");
  const json& event = watched.only("exec", report.at("pid").get<std::int64_t>());
  expect_same(event, report);
  EXPECT_EQ(at(event, "process.args_count"), report.at("cmdline_count"));
  const auto all = joined(args_of(event));
  const json& truncated = at(event, "nightjar.truncated");
  if (truncated.is_null()) {
    EXPECT_EQ(fnv1a(all), std::stoull(report.at("cmdline_hash").get<std::string>(), nullptr, 16));
    return;
  }
  ASSERT_TRUE(truncated.contains("process.args")) << truncated;
  EXPECT_EQ(truncated.at("process.args"), report.at("cmdline_size"));
  EXPECT_GE(all.size(), 131072U);
  EXPECT_LE(all.size(), report.at("cmdline_size").get<std::size_t>());
  // What is there is right: argument i begins as the workload made it.
  const auto args = args_of(event);
  for (std::size_t i = 0; i < args.size(); i++) {
    for (std::size_t j = 0; j < args[i].size(); j++) {
      ASSERT_EQ(args[i][j], static_cast<char>('a' + (i + j * 7) % 26)) << "argument " << i << ", byte " << j;
    }
  }
}

TEST(ExecArgs, keeps_or_marks_more_than_128_kib) {
  expect_whole_or_marked("131101");
}
TEST(ExecArgs, keeps_or_marks_1_mib) {
  expect_whole_or_marked("1048583");
}
TEST(ExecArgs, keeps_or_marks_2_mib) {
  expect_whole_or_marked("2097169");
}

}  // namespace
}  // namespace nightjar::test
