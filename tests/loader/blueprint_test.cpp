// SPDX-License-Identifier: Apache-2.0
#include "nightjar/blueprint.hpp"

#include <algorithm>
#include <cstring>

#include <elf.h>

#include <linux/bpf.h>

#include "section_name.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

const ProgramBlueprint::ProgramInfo& program(std::string_view name) {
  const auto* info = blueprint().find_program(name);
  if (info == nullptr) throw std::runtime_error("no program " + std::string(name));
  return *info;
}

using Names = std::vector<std::string>;

TEST(Blueprint, KnowsTheLicence) {
  EXPECT_EQ(blueprint().license(), "Dual BSD/GPL");
}

TEST(Blueprint, IsNamedAfterItsFile) {
  EXPECT_EQ(blueprint().name(), "loader_test.bpf.o");
}

TEST(Blueprint, ListsProgramsWithKindAndAttachPoint) {
  EXPECT_EQ(blueprint().programs().size(), 28U);
  EXPECT_EQ(program("on_rename_raw").kind, ProgramKind::raw_tracepoint);
  EXPECT_EQ(program("on_rename_raw").attach_point, "task_rename");
  EXPECT_EQ(program("on_rename_raw").section, "raw_tp/task_rename");
  EXPECT_GT(program("on_rename_raw").instructions, 10U);
  EXPECT_EQ(program("on_rename_btf").kind, ProgramKind::tp_btf);
  EXPECT_EQ(program("on_rename_tracepoint").kind, ProgramKind::tracepoint);
  EXPECT_EQ(program("on_rename_tracepoint").attach_point, "task/task_rename");
  EXPECT_EQ(program("on_fentry").kind, ProgramKind::fentry);
  EXPECT_EQ(program("on_getppid").kind, ProgramKind::kprobe);
  EXPECT_EQ(program("on_getppid").attach_point, "");
  EXPECT_EQ(program("dump_task").kind, ProgramKind::iterator);
  EXPECT_EQ(program("on_committed_creds").kind, ProgramKind::lsm);
  EXPECT_EQ(program("not_attached_by_us").kind, ProgramKind::other);
  EXPECT_EQ(blueprint().find_program("touch_deep"), nullptr);  // a function, not a program
}

TEST(Blueprint, ListsMapsWithoutGlobalData) {
  Names names;
  for (const auto& map : blueprint().maps()) names.push_back(map.name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (Names{"__bpf_usdt_ip_to_spec_id", "__bpf_usdt_specs", "counters", "counters_per_cpu", "deep",
                          "events", "jumps", "mapped", "prefixes", "queue", "rarely_used", "recent", "stack"}));
  const auto* counters = blueprint().find_map("counters");
  ASSERT_NE(counters, nullptr);
  EXPECT_EQ(counters->type, BPF_MAP_TYPE_HASH);
  EXPECT_EQ(counters->key_size, 4U);
  EXPECT_EQ(counters->value_size, 8U);
  EXPECT_EQ(counters->max_entries, 64U);
}

TEST(Blueprint, KnowsWhichMapsAProgramUses) {
  EXPECT_EQ(program("on_rename_raw").maps, (Names{"counters", "counters_per_cpu"}));
  EXPECT_EQ(program("send_burst").maps, Names{"events"});
  EXPECT_EQ(program("uses_rarely_used").maps, Names{"rarely_used"});
  EXPECT_EQ(program("dump_task").maps, Names{});
}

TEST(Blueprint, FollowsCallsToFindMaps) {
  EXPECT_EQ(program("uses_deep").maps, Names{"deep"});
  EXPECT_EQ(program("uses_deep_too").maps, Names{"deep"});
}

TEST(Blueprint, SameBytesGiveTheSame) {
  const auto again = ProgramBlueprint::from_bytes(blueprint().bytes(), "loader_test.bpf.o");
  ASSERT_OK(again);
  ASSERT_EQ(again->programs().size(), blueprint().programs().size());
  for (std::size_t i = 0; i < again->programs().size(); ++i) {
    EXPECT_EQ(again->programs()[i].name, blueprint().programs()[i].name);
    EXPECT_EQ(again->programs()[i].maps, blueprint().programs()[i].maps);
  }
}

TEST(Blueprint, AbsentFileIsNotFound) {
  const auto absent = ProgramBlueprint::from_file("/nonexistent/probes.bpf.o");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code(), errc::not_found);
  EXPECT_NE(absent.error().what().find("/nonexistent/probes.bpf.o"), std::string::npos);
}

TEST(Blueprint, DirectoryAndEndlessFileAreRefused) {
  for (const char* path : {"/proc/self", "/dev/zero"}) {
    const auto refused = ProgramBlueprint::from_file(path);
    ASSERT_FALSE(refused) << path;
    EXPECT_EQ(refused.error().code(), errc::corrupt) << path;
  }
}

/// The test object's bytes with the section `name` called what stands one letter later.
std::vector<std::byte> with_first_letter_cut(std::string_view name) {
  std::vector<std::byte> bytes(blueprint().bytes().begin(), blueprint().bytes().end());
  Elf64_Ehdr header{};
  std::memcpy(&header, bytes.data(), sizeof(header));
  const auto section = [&](std::size_t index) {
    Elf64_Shdr found{};
    std::memcpy(&found, bytes.data() + header.e_shoff + index * sizeof(found), sizeof(found));
    return found;
  };
  const Elf64_Shdr names = section(header.e_shstrndx);
  for (std::size_t index = 1; index < header.e_shnum; ++index) {
    Elf64_Shdr one = section(index);
    if (name != reinterpret_cast<const char*>(bytes.data() + names.sh_offset + one.sh_name)) continue;
    ++one.sh_name;
    std::memcpy(bytes.data() + header.e_shoff + index * sizeof(one), &one, sizeof(one));
  }
  return bytes;
}

TEST(Blueprint, NewMapsInTheOldSectionAreRefused) {
  const auto old = ProgramBlueprint::from_bytes(with_first_letter_cut(".maps"), "sensor.o");  // now "maps"
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().code(), errc::corrupt);
  const std::string& text = old.error().what();
  for (const char* part : {"sensor.o: map ", "struct bpf_map_def", "has type 0"}) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
}

TEST(Blueprint, KnowsTheKernelVersionThatAnObjectIsFor) {
  EXPECT_FALSE(blueprint().kernel_version()) << "0xFFFFFFFE: whatever runs";
}

struct SectionCase {
  std::string_view section;
  ProgramKind kind;
  std::string_view point;
};

TEST(SectionName, FollowsLibbpf) {
  for (const SectionCase& c : {SectionCase{"kprobe/do_exit", ProgramKind::kprobe, "do_exit"},
                               SectionCase{"kretprobe/do_exit", ProgramKind::kretprobe, "do_exit"},
                               SectionCase{"kprobe", ProgramKind::kprobe, ""},
                               SectionCase{"kprobe.multi/do_*", ProgramKind::other, "do_*"},
                               SectionCase{"ksyscall/clone", ProgramKind::kprobe, "clone"},
                               SectionCase{"kretsyscall/clone", ProgramKind::kretprobe, "clone"},
                               SectionCase{"uprobe/libc.so.6:f", ProgramKind::uprobe, "libc.so.6:f"},
                               SectionCase{"uretprobe/a:f", ProgramKind::uretprobe, "a:f"},
                               SectionCase{"usdt/a:b:c", ProgramKind::usdt, "a:b:c"},
                               SectionCase{"cgroup/connect4", ProgramKind::cgroup, ""},
                               SectionCase{"cgroup_skb/ingress", ProgramKind::cgroup, ""},
                               SectionCase{"socket", ProgramKind::socket, ""},
                               SectionCase{"tp/sched/x", ProgramKind::tracepoint, "sched/x"},
                               SectionCase{"tracepoint/sched/x", ProgramKind::tracepoint, "sched/x"},
                               SectionCase{"raw_tp/x", ProgramKind::raw_tracepoint, "x"},
                               SectionCase{"raw_tracepoint/x", ProgramKind::raw_tracepoint, "x"},
                               SectionCase{"raw_tp.w/x", ProgramKind::raw_tracepoint, "x"},
                               SectionCase{"tp_btf/x", ProgramKind::tp_btf, "x"},
                               SectionCase{"?tp_btf/x", ProgramKind::tp_btf, "x"},
                               SectionCase{"fentry/f", ProgramKind::fentry, "f"},
                               SectionCase{"fentry.s/f", ProgramKind::fentry, "f"},
                               SectionCase{"fexit.s/f", ProgramKind::fexit, "f"},
                               SectionCase{"fmod_ret/f", ProgramKind::fmod_ret, "f"},
                               SectionCase{"lsm/h", ProgramKind::lsm, "h"},
                               SectionCase{"lsm.s/h", ProgramKind::lsm, "h"},
                               SectionCase{"lsm_cgroup/h", ProgramKind::other, "h"},
                               SectionCase{"iter/task", ProgramKind::iterator, "task"},
                               SectionCase{"iter.s/task", ProgramKind::iterator, "task"},
                               SectionCase{"xdp", ProgramKind::other, ""},
                               SectionCase{"", ProgramKind::other, ""}}) {
    const SectionMeaning meaning = read_section_name(c.section);
    EXPECT_EQ(meaning.kind, c.kind) << c.section;
    EXPECT_EQ(meaning.attach_point, c.point) << c.section;
  }
}

}  // namespace
}  // namespace nightjar::test
