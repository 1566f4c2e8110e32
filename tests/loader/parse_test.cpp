// SPDX-License-Identifier: Apache-2.0
// Small texts of the kernel's, read without one.
#include "cpus.hpp"
#include "file_symbol.hpp"
#include "kernel_version.hpp"
#include "nightjar/event_poller.hpp"
#include "pins.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

using Cpus = std::vector<unsigned>;

TEST(CpuList, RangesNumbersAndHoles) {
  EXPECT_EQ(parse_cpu_list("0\n").value(), (Cpus{0}));
  EXPECT_EQ(parse_cpu_list("0-3\n").value(), (Cpus{0, 1, 2, 3}));
  EXPECT_EQ(parse_cpu_list("0,3-5").value(), (Cpus{0, 3, 4, 5}));
  EXPECT_EQ(parse_cpu_list("\n").value(), Cpus{});
}

TEST(CpuList, NonsenseIsCorrupt) {
  for (const char* text : {"x", "1-", "3-1", "1,", ",1", "0-99999999", "1 2", "-1"}) {
    EXPECT_FALSE(parse_cpu_list(text)) << text;
  }
}

TEST(KernelVersion, AsEachDistributionTellsIt) {
  constexpr std::uint32_t v6_1_76 = 0x06014c;
  EXPECT_EQ(kernel_version_from("6.1.76", "#1 SMP", ""), v6_1_76);
  EXPECT_EQ(kernel_version_from("6.1.0-18-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)", ""), v6_1_76);
  EXPECT_EQ(kernel_version_from("6.1.0-5-generic", "#6-Ubuntu SMP", "Ubuntu 6.1.0-5.6-generic 6.1.76"), v6_1_76);
  EXPECT_EQ(kernel_version_from("6.1-rc2", "", ""), 0x060100U) << "the seed took the minor for 0";
  EXPECT_EQ(kernel_version_from("4.14.336", "", ""), 0x040effU) << "patch levels end at 255";
  EXPECT_EQ(kernel_version_from("strange", "", ""), 0U);
  EXPECT_NE(running_kernel_version(), 0U);
}

TEST(PinNames, GoThereAndBack) {
  const std::vector<std::string> parts{"link", "v~1", "on_open", "uprobe//lib/libc.so.6:get%id", ""};
  const std::string name = pins::join(parts);
  EXPECT_EQ(name.find_first_of("./"), std::string::npos) << name;
  EXPECT_EQ(pins::split(name), parts);
  EXPECT_EQ(pins::split("100%"), std::vector<std::string>{"100%"});
}

TEST(FilePoints, AreReadAndRefused) {
  const auto function = parse_file_point("/proc/self/exe:main+0x10");
  ASSERT_OK(function);
  EXPECT_EQ(function->function, "main");
  EXPECT_EQ(function->offset, 16U);
  const auto offset = parse_file_point("/proc/self/exe:0x40");
  ASSERT_OK(offset);
  EXPECT_EQ(offset->function, "");
  EXPECT_EQ(offset->offset, 0x40U) << "hexadecimal: the seed printed decimal digits behind 0x";
  const auto library = parse_file_point("libc.so.6:malloc");
  ASSERT_OK(library);
  EXPECT_EQ(library->path.front(), '/');
  for (const char* bad : {"malloc", "libc.so.6:", ":malloc", "/proc/self/exe:main+", "/proc/self/exe:main+z"}) {
    EXPECT_EQ(parse_file_point(bad).error().code(), errc::invalid) << bad;
  }
  EXPECT_EQ(parse_file_point("/nonexistent:main").error().code(), errc::unsupported);
}

TEST(FunctionOffset, OfALibraryAndSuggestions) {
  const auto library = parse_file_point("libc.so.6:getppid");
  ASSERT_OK(library);
  const auto offset = function_offset(library->path, "getppid");
  ASSERT_OK(offset);
  EXPECT_GT(*offset, 0U);
  const auto none = function_offset(library->path, "getpppid");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().sys(), ENOENT);
  EXPECT_NE(none.error().what().find("did you mean 'getp"), std::string::npos) << none.error().what();
  EXPECT_EQ(function_offset("/etc/hostname", "main").error().code(), errc::corrupt);
}

TEST(SchedulingOptions, OutOfRangeIsInvalidNotClamped) {
  EXPECT_EQ(set_scheduling(Scheduling::other(20)).error().code(), errc::invalid);
  EXPECT_EQ(set_scheduling(Scheduling::fifo(0)).error().code(), errc::invalid);
  EXPECT_EQ(set_scheduling(Scheduling::round_robin(100)).error().code(), errc::invalid);
  using std::chrono::milliseconds;
  EXPECT_EQ(set_scheduling(Scheduling::for_deadline(milliseconds(5), milliseconds(3), milliseconds(9))).error().code(),
            errc::invalid);
  EXPECT_OK(set_scheduling({}));
}

}  // namespace
}  // namespace nightjar::test
