// SPDX-License-Identifier: Apache-2.0
#include "agent/process_table.hpp"

#include <gtest/gtest.h>

namespace nightjar {
namespace {

Process process(std::uint32_t pid, std::uint64_t start) {
  Process made;
  made.key = {pid, start};
  return made;
}

TEST(ProcessTable, tells_processes_of_one_pid_apart_by_their_start) {
  ProcessTable table(100);
  table.put(process(7, 1));
  table.ended({7, 1});
  table.put(process(7, 2));
  EXPECT_NE(table.find({7, 1}), nullptr);  // kept a while
  EXPECT_EQ(table.find_live(7)->key.start_ns, 2U);
  EXPECT_EQ(table.find({7, 3}), nullptr);
}

TEST(ProcessTable, forgets_the_dead_live_lookup) {
  ProcessTable table(100);
  table.put(process(7, 1));
  table.ended({7, 1});
  EXPECT_EQ(table.find_live(7), nullptr);
}

TEST(ProcessTable, never_grows_past_its_limit) {
  ProcessTable table(101);
  for (std::uint32_t pid = 1; pid <= 10007; ++pid) {
    table.put(process(pid, pid));
    EXPECT_LE(table.size(), 101U);
  }
  EXPECT_EQ(table.forgotten(), 10007U - 101U);
}

TEST(ProcessTable, gives_up_ended_processes_before_living_ones) {
  ProcessTable table(3);
  table.put(process(1, 1));
  table.put(process(2, 2));
  table.put(process(3, 3));
  table.ended({2, 2});
  table.put(process(4, 4));
  EXPECT_EQ(table.find({2, 2}), nullptr);
  EXPECT_NE(table.find({1, 1}), nullptr);
  EXPECT_EQ(table.forgotten(), 0U);
}

TEST(ProcessTable, tells_ancestors_as_far_as_it_knows_them) {
  ProcessTable table(100);
  for (std::uint32_t pid = 1; pid <= 11; ++pid) {
    Process made = process(pid, pid * 10);
    made.parent = {pid - 1, (pid - 1) * 10};
    made.entity_id = '"' + std::to_string(pid) + '"';
    if (pid == 2) {
      Image image;
      image.executable = "\"/x\"";
      made.image = std::make_shared<const Image>(std::move(image));
    }
    table.put(made);
  }
  EXPECT_EQ(table.ancestors(*table.find({1, 10})), "");
  EXPECT_EQ(table.ancestors(*table.find({3, 30})),
            R"([{"entity_id":"2","pid":2,"executable":"/x"},{"entity_id":"1","pid":1}])");
  EXPECT_EQ(table.ancestors(*table.find({11, 110}), 1), R"([{"entity_id":"10","pid":10}])");
  Process other = process(12, 120);
  other.parent = {3, 31};  // a process that had the pid of another one later
  EXPECT_EQ(table.ancestors(other), "");
}

}  // namespace
}  // namespace nightjar
