// SPDX-License-Identifier: Apache-2.0
// Every program of a system call finds a slot, in whatever combination the families are asked for.
#include "agent/syscall_dispatch.hpp"

#include <map>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include <sys/syscall.h>

#include "agent/programs.hpp"

namespace nightjar {
namespace {

/// Puts the groups' versions of the tier without tracing of functions in, one after the other, but for programs
/// whose names begin with `leave_out`. The programs by slot.
std::map<std::string, std::string> slots_of(const ProgramBlueprint& blueprint, const std::string& leave_out) {
  SyscallDispatch dispatch;
  std::map<std::string, std::string> slots;
  for (const GroupSpec& group : program_groups()) {
    for (ProgramVersion version : group.versions) {
      if (version.name != "tracepoint") continue;
      if (!leave_out.empty())
        std::erase_if(version.programs, [&](const Program& p) { return p.name().starts_with(leave_out); });
      version = dispatch.through(version, blueprint);
      dispatch.loaded(version, blueprint);
      for (const Program& program : version.programs) {
        for (const std::string& point : program.attach_points())
          EXPECT_FALSE(point.starts_with("syscalls/")) << program.name() << " finds no slot for " << point;
        for (const TailCallSlot& slot : program.tail_calls())
          EXPECT_TRUE(slots.emplace(slot.map + "/" + std::to_string(slot.index), program.name()).second)
              << program.name();
      }
      break;
    }
  }
  return slots;
}

std::string number_of(const char* map, int call) {
  return std::string(map) + "/" + std::to_string(call);
}

TEST(SyscallDispatch, two_programs_of_one_call_find_two_slots) {
  const auto blueprint = probes_blueprint();
  ASSERT_TRUE(blueprint);
  auto slots = slots_of(*blueprint, "");
  EXPECT_EQ(slots[number_of("syscall_enter", SYS_unshare)], "namespace_unshare__enter");
  EXPECT_EQ(slots[number_of("syscall_enter_more", SYS_unshare)], "privilege_set_credentials__enter");
  EXPECT_EQ(slots[number_of("syscall_exit", SYS_unshare)], "namespace_unshare__exit");
  EXPECT_EQ(slots[number_of("syscall_exit_more", SYS_unshare)], "privilege_set_credentials__exit");
  EXPECT_EQ(slots[number_of("syscall_exit_more", SYS_bpf)], "kernel_bpf_access__exit");
  EXPECT_EQ(slots[number_of("syscall_enter", SYS_close)], "file_modify__calls");
}

TEST(SyscallDispatch, the_second_is_the_first_when_it_is_alone) {
  const auto blueprint = probes_blueprint();
  ASSERT_TRUE(blueprint);
  for (const char* family : {"namespace_", "privilege_", "kernel_", "file_"}) {
    auto slots = slots_of(*blueprint, family);
    if (std::string_view(family) == "namespace_") {
      EXPECT_EQ(slots[number_of("syscall_enter", SYS_unshare)], "privilege_set_credentials__enter");
    }
    EXPECT_GT(slots.size(), 30U) << family;
  }
}

}  // namespace
}  // namespace nightjar
