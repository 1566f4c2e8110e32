// SPDX-License-Identifier: Apache-2.0
#include "agent/proc_files.hpp"

#include <gtest/gtest.h>

#include "wire/record.hpp"

namespace nightjar {
namespace {

/// A line as of proc(5), with this name.
std::string stat_of(std::string_view name, std::string_view flags = "4194560", std::string_view size = "8130560") {
  return "811 (" + std::string(name) + ") S 13 811 17 34818 811 " + std::string(flags) +
         " 1 2 3 4 5 6 7 8 20 0 1 0 123456 " + std::string(size) + " 300 1 2\n";
}

TEST(ProcFiles, stat_is_read_behind_whatever_the_name_is) {
  for (const std::string_view name : {"sh", "a b", ") S 1 1 1", "((", "x\n) R 2 2", "", "\xff\xfe", "1 (2) S 3"}) {
    const auto stat = parse_proc_stat(stat_of(name));
    ASSERT_TRUE(stat) << name;
    EXPECT_EQ(stat->pid, 811U);
    EXPECT_EQ(stat->parent, 13U) << name;
    EXPECT_EQ(stat->group, 811U);
    EXPECT_EQ(stat->session, 17U);
    EXPECT_EQ(stat->tty_major, 136U);  // 34818: the third pseudo terminal
    EXPECT_EQ(stat->tty_minor, 2U);
    EXPECT_EQ(stat->start_ticks, 123456U);
    EXPECT_TRUE(stat->has_memory);
  }
}

TEST(ProcFiles, stat_tells_who_has_no_memory) {
  EXPECT_FALSE(parse_proc_stat(stat_of("kthreadd", "2129984", "0"))->has_memory);
  EXPECT_FALSE(parse_proc_stat(stat_of("kernel with memory", "2129984"))->has_memory);
  EXPECT_FALSE(parse_proc_stat(stat_of("zombie", "4194560", "0"))->has_memory);
}

TEST(ProcFiles, stat_of_a_large_terminal_number) {
  std::string text = stat_of("sh");
  text.replace(text.find("34818"), 5, "1083436");  // 136:300 as new_encode_dev() has it
  const auto stat = parse_proc_stat(text);
  EXPECT_EQ(stat->tty_major, 136U);
  EXPECT_EQ(stat->tty_minor, 300U);
}

TEST(ProcFiles, what_is_cut_off_is_no_process) {
  const std::string whole = stat_of("sh");
  EXPECT_FALSE(parse_proc_stat(""));
  EXPECT_FALSE(parse_proc_stat("811 (sh"));
  EXPECT_FALSE(parse_proc_stat(") S 1"));
  for (std::size_t size = 0; size < whole.find("8130560"); ++size) EXPECT_FALSE(parse_proc_stat(whole.substr(0, size)));
  EXPECT_FALSE(parse_proc_status(""));
  EXPECT_FALSE(parse_proc_status("Name:\tsh\n"));
}

TEST(ProcFiles, status_believes_no_name) {
  // The kernel writes a name's line feed as \n: no line of it can begin with a key.
  const auto status = parse_proc_status(
      "Name:\tx\\nUid:\t0\t0\t0\t0\nTgid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNStgid:\t811\t17\t5\n"
      "CapInh:\t0000000000000001\nCapPrm:\t0000000000000003\nCapEff:\t000001ffffffffff\nCapBnd:\t0000000000000010\n"
      "CapAmb:\t8000000000000000\n");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->uids, (std::array<std::uint32_t, 3>{1, 2, 3}));
  EXPECT_EQ(status->gids, (std::array<std::uint32_t, 3>{5, 6, 7}));
  EXPECT_EQ(status->innermost_pid, 5U);
  EXPECT_EQ(status->inheritable, 1U);
  EXPECT_EQ(status->permitted, 3U);
  EXPECT_EQ(status->effective, 0x1ffffffffffU);
  EXPECT_EQ(status->bounding, 16U);
  EXPECT_EQ(status->ambient, 1ULL << 63);
}

TEST(ProcFiles, cgroups_are_told_apart_by_hierarchy) {
  const auto all = parse_proc_cgroup("9:name=systemd:/s\n5:memory,hugetlb:/a:b c\n4:cpu,pids:/p\n0::/u\n");
  EXPECT_EQ(all.unified, "/u");
  EXPECT_EQ(all.memory, "/a:b c");
  EXPECT_EQ(all.pids, "/p");
  const auto none = parse_proc_cgroup("nonsense\n::\n7:mem");
  EXPECT_FALSE(none.unified || none.memory || none.pids);
}

TEST(ProcFiles, mounts_of_cgroups_are_found_among_others) {
  const auto mounts = parse_cgroup_mounts(
      "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
      "41 31 0:38 /pod /sys/fs/a\\040b\\134 rw,relatime shared:9 master:1 - cgroup2 cgroup2 rw,nsdelegate\n"
      "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\nshort\n");
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_TRUE(mounts[0].is_unified);
  EXPECT_EQ(mounts[0].root, "/pod");
  EXPECT_EQ(mounts[0].point, "/sys/fs/a b\\");
  EXPECT_FALSE(mounts[1].is_unified);
  EXPECT_EQ(mounts[1].options, "rw,memory");
}

TEST(ProcFiles, links_and_maps) {
  EXPECT_EQ(namespace_number("mnt:[4026531832]"), 4026531832U);
  EXPECT_EQ(namespace_number(""), 0U);
  EXPECT_EQ(namespace_number("mnt:["), 0U);
  EXPECT_EQ(root_of_uid_map("         0     100000      65536\n      5 7 1\n"), 100000U);
  EXPECT_EQ(root_of_uid_map("      1000          0          1\n"), ~0U);
  EXPECT_EQ(root_of_uid_map(""), ~0U);
}

TEST(ProcFiles, a_path_is_turned_round_and_back) {
  for (const std::string_view path : {"/", "/a", "/usr/bin/cat", "/with space/and\nline", ""})
    EXPECT_EQ(join_path(path_components(path)), path);
  EXPECT_EQ(path_components("/usr/cat"), std::string_view("cat\0usr\0", 8));
}

}  // namespace
}  // namespace nightjar
