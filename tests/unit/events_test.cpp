// SPDX-License-Identifier: Apache-2.0
#include "wire/events.hpp"

#include <set>

#include <gtest/gtest.h>

#include "wire/process.h"

namespace nightjar {
namespace {

TEST(Events, have_one_row_each) {
  std::set<Kind> kinds;
  std::set<std::string_view> names;
  for (const EventInfo& event : all_events()) {
    EXPECT_TRUE(kinds.insert(event.kind).second) << event.action;
    EXPECT_TRUE(names.insert(event.action).second) << event.action;
    EXPECT_EQ(find_event(event.action), &event);
    EXPECT_EQ(&event_info(event.kind), &event);
    EXPECT_FALSE(event.doc.empty());
  }
  for (const int kind :
       {WIRE_PROCESS_FORK,  WIRE_PROCESS_EXEC,  WIRE_PROCESS_EXIT,  WIRE_PROCESS_SNAPSHOT, WIRE_EXEC_FAILED,
        WIRE_UNSHARE,       WIRE_SETNS,         WIRE_MOUNT,         WIRE_UMOUNT,           WIRE_MOVE_MOUNT,
        WIRE_PIVOT_ROOT,    WIRE_CHROOT,        WIRE_PTRACE,        WIRE_PROCESS_VM_WRITE, WIRE_PROC_MEM_WRITE,
        WIRE_MEMFD_CREATE,  WIRE_MPROTECT_EXEC, WIRE_MMAP_EXEC,     WIRE_SET_CREDENTIALS,  WIRE_CAPABILITY_SET,
        WIRE_LOGIN_UID_SET, WIRE_MODULE_LOAD,   WIRE_MODULE_UNLOAD, WIRE_BPF_PROGRAM_LOAD, WIRE_KEXEC_LOAD,
        WIRE_SYSCTL_WRITE,  WIRE_KILL,          WIRE_BPF_ACCESS})
    EXPECT_TRUE(kinds.contains(static_cast<Kind>(kind))) << kind;
}

TEST(Events, every_fact_has_one_row_and_every_row_an_event) {
  std::set<Fact> facts;
  for (const FactInfo& fact : all_facts()) {
    EXPECT_TRUE(facts.insert(fact.fact).second) << fact.name;
    EXPECT_EQ(&fact_info(fact.fact), &fact);
    bool used = false;
    for (const EventInfo& event : all_events()) used |= fact_applies(fact, event);
    EXPECT_TRUE(used) << fact.name << " names no event: " << fact.events;
  }
  EXPECT_EQ(facts.size(), fact_count);
}

void collect(std::set<std::string_view>& names, std::span<const wire::Field> fields, std::string_view event) {
  for (const wire::Field& field : fields) {
    if (field.show.shape == wire::Shape::inlined) {
      collect(names, field.inner, event);
    } else if (!field.name.empty()) {
      EXPECT_TRUE(names.insert(field.name).second) << event << " has " << field.name << " twice";
      EXPECT_FALSE(field.doc.empty()) << field.name;
    }
  }
}

TEST(Events, no_field_stands_twice_or_is_both_value_and_object) {
  for (const EventInfo& event : all_events()) {
    std::set<std::string_view> names;
    collect(names, event.fields, event.action);
    for (const FactInfo& fact : all_facts()) {
      if (!fact_applies(fact, event)) continue;
      EXPECT_TRUE(names.insert(fact.name).second) << event.action << ' ' << fact.name;
    }
    for (const std::string_view name : names) {
      for (const std::string_view other : names)
        EXPECT_FALSE(other.starts_with(std::string(name) + ".")) << event.action << ": " << name << " and " << other;
    }
  }
}

TEST(Events, every_bit_that_can_be_missing_names_a_field) {
  std::set<std::string_view> names;
  for (const EventInfo& event : all_events()) {
    std::set<std::string_view> own;
    collect(own, event.fields, event.action);
    names.insert(own.begin(), own.end());
    for (const FactInfo& fact : all_facts()) {
      if (fact_applies(fact, event)) names.insert(fact.name);
    }
  }
  for (const MissingBit& bit : missing_bits()) EXPECT_TRUE(names.contains(bit.field)) << bit.field;
}

}  // namespace
}  // namespace nightjar
