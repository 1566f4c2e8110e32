// SPDX-License-Identifier: Apache-2.0
#include "agent/memory_limit.hpp"

#include <gtest/gtest.h>

#include "temp_root.hpp"

namespace nightjar {
namespace {

class MemoryLimits : public test::TempRoot {
 protected:
  void expect(std::uint64_t bytes, const std::string& cgroup) const {
    const auto limit = memory_limit(root_);
    ASSERT_TRUE(limit.has_value());
    EXPECT_EQ(limit->bytes, bytes);
    EXPECT_EQ(limit->cgroup, cgroup);
  }
};

const std::string unified =
    "22 1 0:20 / /proc rw,nosuid - proc proc rw\n"
    "30 1 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const std::string separate =
    "31 1 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "32 1 0:28 / /sys/fs/cgroup/memory rw shared:9 master:2 - cgroup cgroup rw,memory\n"
    "33 1 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

TEST_F(MemoryLimits, are_the_smallest_of_those_above) {
  write("/proc/self/mountinfo", unified);
  write("/proc/self/cgroup", "0::/system.slice/nightjar.service\n");
  write("/sys/fs/cgroup/system.slice/memory.max", "67108864\n");
  write("/sys/fs/cgroup/system.slice/nightjar.service/memory.max", "134217728\n");
  expect(67108864, "/sys/fs/cgroup/system.slice");
  write("/sys/fs/cgroup/system.slice/nightjar.service/memory.max", "max\n");
  expect(67108864, "/sys/fs/cgroup/system.slice");
}

TEST_F(MemoryLimits, of_version_1_are_those_of_its_controller) {
  write("/proc/self/mountinfo", separate);
  write("/proc/self/cgroup", "4:cpu:/other\n3:memory:/docker/x\n0::/y\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "41943040\n");
  write("/sys/fs/cgroup/memory/other/memory.limit_in_bytes", "1\n");
  write("/sys/fs/cgroup/cpu/other/memory.limit_in_bytes", "1\n");
  expect(41943040, "/sys/fs/cgroup/memory/docker/x");
}

TEST_F(MemoryLimits, are_found_where_a_container_sees_its_own_cgroup_alone) {
  write("/proc/self/cgroup", "3:memory:/docker/x\n0::/../y\n");
  write("/proc/self/mountinfo", "32 1 0:28 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "41943040\n");
  expect(41943040, "/sys/fs/cgroup/memory");
  write("/proc/self/mountinfo", unified);
  write("/sys/fs/cgroup/memory.max", "41943041\n");
  expect(41943041, "/sys/fs/cgroup");
}

TEST_F(MemoryLimits, need_not_be) {
  EXPECT_FALSE(memory_limit(root_).has_value());
  write("/proc/self/mountinfo", unified);
  write("/proc/self/cgroup", "0::/\n");
  EXPECT_FALSE(memory_limit(root_).has_value());
}

TEST(MemoryNeeded, is_told_when_the_limit_is_below) {
  constexpr std::uint64_t mb = 1 << 20;
  const std::uint64_t needed = memory_needed(36 * mb);
  EXPECT_EQ(too_little_memory(std::nullopt, needed), "");
  EXPECT_EQ(too_little_memory(MemoryLimit{"/c", needed}, needed), "");
  const std::string told = too_little_memory(MemoryLimit{"/c", 64 * mb}, needed);
  EXPECT_NE(told.find("the cgroup /c may take 64 MB of memory, and a start takes about 70 MB"), std::string::npos)
      << told;
}

}  // namespace
}  // namespace nightjar
