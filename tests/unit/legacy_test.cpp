// SPDX-License-Identifier: Apache-2.0
// The programs of the legacy tier keep to what Linux 4.14 takes, in the object that the agent carries.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <elf.h>
#include <gtest/gtest.h>

#include <linux/bpf.h>

#include "agent/programs.hpp"
#include "agent/settings.hpp"

namespace nightjar {
namespace {

/// Helpers of programs on kprobes and tracepoints: include/uapi/linux/bpf.h of v4.14, kernel/trace/bpf_trace.c.
const std::map<int, const char*> helpers_of_4_14 = {
    {BPF_FUNC_map_lookup_elem, "map_lookup_elem"},
    {BPF_FUNC_map_update_elem, "map_update_elem"},
    {BPF_FUNC_map_delete_elem, "map_delete_elem"},
    {BPF_FUNC_probe_read, "probe_read"},
    {BPF_FUNC_ktime_get_ns, "ktime_get_ns"},
    {BPF_FUNC_trace_printk, "trace_printk"},
    {BPF_FUNC_get_prandom_u32, "get_prandom_u32"},
    {BPF_FUNC_get_smp_processor_id, "get_smp_processor_id"},
    {BPF_FUNC_tail_call, "tail_call"},
    {BPF_FUNC_get_current_pid_tgid, "get_current_pid_tgid"},
    {BPF_FUNC_get_current_uid_gid, "get_current_uid_gid"},
    {BPF_FUNC_get_current_comm, "get_current_comm"},
    {BPF_FUNC_perf_event_read, "perf_event_read"},
    {BPF_FUNC_perf_event_output, "perf_event_output"},
    {BPF_FUNC_get_stackid, "get_stackid"},
    {BPF_FUNC_get_current_task, "get_current_task"},
    {BPF_FUNC_probe_write_user, "probe_write_user"},
    {BPF_FUNC_current_task_under_cgroup, "current_task_under_cgroup"},
    {BPF_FUNC_get_numa_node_id, "get_numa_node_id"},
    {BPF_FUNC_probe_read_str, "probe_read_str"},
};

/// Map types of v4.14 that these programs may use.
const std::set<std::uint32_t> maps_of_4_14 = {
    BPF_MAP_TYPE_HASH,        BPF_MAP_TYPE_ARRAY,         BPF_MAP_TYPE_PROG_ARRAY,   BPF_MAP_TYPE_PERF_EVENT_ARRAY,
    BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY,  BPF_MAP_TYPE_LRU_HASH,     BPF_MAP_TYPE_LRU_PERCPU_HASH,
    BPF_MAP_TYPE_LPM_TRIE,    BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS, BPF_MAP_TYPE_CGROUP_ARRAY};
constexpr std::size_t most_instructions = 4096;  // BPF_MAXINSNS

struct Code {
  std::vector<bpf_insn> instructions;
  std::set<std::string> data;  ///< sections of data that it refers to
};

/// The object, read by hand: nothing of what is tested has had its hands on it.
class Object {
 public:
  explicit Object(std::string bytes) : bytes_(std::move(bytes)) {
    const auto& header = at<Elf64_Ehdr>(0);
    for (std::size_t i = 0; i < header.e_shnum; ++i)
      sections_.push_back(at<Elf64_Shdr>(header.e_shoff + i * sizeof(Elf64_Shdr)));
    names_ = sections_.at(header.e_shstrndx);
    for (const Elf64_Shdr& section : sections_) {
      if (section.sh_type == SHT_SYMTAB) symbols_ = section;
    }
  }

  std::map<std::string, Code> programs(std::string_view part_of_name) const {
    std::map<std::string, Code> found;
    for (std::size_t i = 0; i < symbols_.sh_size / sizeof(Elf64_Sym); ++i) {
      const auto& symbol = symbol_at(i);
      const std::string name = text(sections_.at(symbols_.sh_link), symbol.st_name);
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || name.find(part_of_name) == std::string::npos) continue;
      Code& code = found[name];
      const Elf64_Shdr& section = sections_.at(symbol.st_shndx);
      for (std::size_t offset = 0; offset < symbol.st_size; offset += sizeof(bpf_insn))
        code.instructions.push_back(at<bpf_insn>(section.sh_offset + symbol.st_value + offset));
      for (const Elf64_Shdr& relocations : sections_) {
        if (relocations.sh_type == SHT_REL && relocations.sh_info == symbol.st_shndx)
          collect(relocations, symbol, code);
      }
    }
    return found;
  }

 private:
  template <class T>
  T at(std::size_t offset) const {
    T value{};
    if (offset + sizeof(T) > bytes_.size()) throw std::out_of_range("the object is cut");
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }
  Elf64_Sym symbol_at(std::size_t index) const { return at<Elf64_Sym>(symbols_.sh_offset + index * sizeof(Elf64_Sym)); }
  std::string text(const Elf64_Shdr& table, std::size_t offset) const {
    return bytes_.data() + table.sh_offset + offset;
  }

  void collect(const Elf64_Shdr& relocations, const Elf64_Sym& program, Code& code) const {
    for (std::size_t i = 0; i < relocations.sh_size / sizeof(Elf64_Rel); ++i) {
      const auto entry = at<Elf64_Rel>(relocations.sh_offset + i * sizeof(Elf64_Rel));
      if (entry.r_offset < program.st_value || entry.r_offset >= program.st_value + program.st_size) continue;
      const auto symbol = symbol_at(ELF64_R_SYM(entry.r_info));
      if (symbol.st_shndx == 0 || symbol.st_shndx >= sections_.size()) continue;
      const std::string section = text(names_, sections_.at(symbol.st_shndx).sh_name);
      if (section != ".maps") code.data.insert(section);
    }
  }

  std::string bytes_;
  std::vector<Elf64_Shdr> sections_;
  Elf64_Shdr names_{}, symbols_{};
};

std::map<std::string, Code> legacy_programs() {
  const auto path = std::filesystem::read_symlink("/proc/self/exe").parent_path() / PROBES_FILE;
  std::ifstream file(path, std::ios::binary);
  return Object({std::istreambuf_iterator<char>(file), {}}).programs("__legacy");
}

bool is_jump(const bpf_insn& one) {
  const unsigned kind = BPF_CLASS(one.code);
  return (kind == BPF_JMP || kind == BPF_JMP32) && BPF_OP(one.code) != BPF_CALL && BPF_OP(one.code) != BPF_EXIT;
}

TEST(Legacy, programs_have_less_than_4096_instructions) {
  const auto programs = legacy_programs();
  EXPECT_GE(programs.size(), 30U);
  for (const auto& [name, code] : programs) EXPECT_LT(code.instructions.size(), most_instructions) << name;
}

TEST(Legacy, programs_never_jump_backwards) {
  for (const auto& [name, code] : legacy_programs()) {
    for (std::size_t i = 0; i < code.instructions.size(); ++i) {
      if (!is_jump(code.instructions[i])) continue;
      EXPECT_GE(code.instructions[i].off, 0) << name << ", instruction " << i;
    }
  }
}

TEST(Legacy, programs_have_instructions_of_4_14_only) {
  for (const auto& [name, code] : legacy_programs()) {
    for (const bpf_insn& one : code.instructions) {
      EXPECT_NE(BPF_CLASS(one.code), BPF_JMP32) << name;  // 5.1
      // An atomic addition without its result is all there is before 5.12.
      if (BPF_CLASS(one.code) == BPF_STX && BPF_MODE(one.code) == BPF_ATOMIC) {
        EXPECT_EQ(one.imm, BPF_ADD) << name;
      }
    }
  }
}

TEST(Legacy, programs_call_helpers_of_4_14_and_no_function) {
  for (const auto& [name, code] : legacy_programs()) {
    for (const bpf_insn& one : code.instructions) {
      if (one.code != (BPF_JMP | BPF_CALL)) continue;
      EXPECT_EQ(one.src_reg, 0) << name << " calls a function of the object (4.16)";
      EXPECT_TRUE(helpers_of_4_14.contains(one.imm)) << name << " calls helper " << one.imm;
    }
  }
}

/// Whether the argument of the call `at` is r10 - n, as the instructions before it made it.
bool is_on_the_stack(const std::vector<bpf_insn>& code, std::size_t at, unsigned argument) {
  bool moved_down = false;
  while (at-- > 0) {
    const bpf_insn& one = code[at];
    const bool is_kept = argument >= BPF_REG_6;  // over a call
    if (one.code == (BPF_JMP | BPF_CALL) && !is_kept) return false;
    const unsigned kind = BPF_CLASS(one.code);
    if (one.dst_reg != argument || (kind != BPF_ALU64 && kind != BPF_LDX && kind != BPF_LD)) continue;
    if (one.code == (BPF_ALU64 | BPF_ADD | BPF_K) && one.imm < 0 && !moved_down) {
      moved_down = true;
    } else if (one.code == (BPF_ALU64 | BPF_MOV | BPF_X)) {
      if (one.src_reg == BPF_REG_10) return moved_down;
      argument = one.src_reg;
    } else {
      return false;
    }
  }
  return false;
}

// Linux kernel commit d71962f3e627 ("bpf: allow map helpers access to map values directly") (in v4.18).
TEST(Legacy, map_keys_and_values_lie_on_the_stack) {
  std::size_t calls = 0;
  for (const auto& [name, code] : legacy_programs()) {
    for (std::size_t i = 0; i < code.instructions.size(); ++i) {
      const bpf_insn& one = code.instructions[i];
      if (one.code != (BPF_JMP | BPF_CALL) || one.imm < BPF_FUNC_map_lookup_elem || one.imm > BPF_FUNC_map_delete_elem)
        continue;
      ++calls;
      EXPECT_TRUE(is_on_the_stack(code.instructions, i, BPF_REG_2)) << name << ", instruction " << i << ": the key";
      if (one.imm == BPF_FUNC_map_update_elem) {
        EXPECT_TRUE(is_on_the_stack(code.instructions, i, BPF_REG_3)) << name << ", instruction " << i << ": the value";
      }
    }
  }
  EXPECT_GT(calls, 100U);
}

TEST(Legacy, programs_have_no_global_data) {
  for (const auto& [name, code] : legacy_programs()) {
    for (const auto& section : code.data) ADD_FAILURE() << name << " refers to " << section << " (5.2)";
  }
}

TEST(Legacy, programs_use_maps_of_4_14) {
  const auto blueprint = probes_blueprint();
  ASSERT_TRUE(blueprint);
  for (const auto& program : blueprint->programs()) {
    if (program.name.find("__legacy") == std::string::npos) continue;
    for (const std::string& name : program.maps) {
      // The agent makes perf event arrays of these.
      if (name == "lifecycle" || name == "activity") continue;
      const auto* map = blueprint->find_map(name);
      ASSERT_NE(map, nullptr) << program.name << " uses " << name;
      EXPECT_TRUE(maps_of_4_14.contains(map->type)) << program.name << " uses " << name;
    }
  }
}

TEST(Legacy, features_are_known_by_their_usual_names) {
  SensorOptions options;
  ASSERT_TRUE(add_without(options, "btf,ringbuf,rawtp,globaldata,probe_read_kernel,boundedloops", "--without"));
  EXPECT_EQ(options.without,
            (std::set<Feature>{Feature::btf, Feature::ring_buffer, Feature::raw_tracepoint, Feature::global_data,
                               Feature::probe_read_kernel, Feature::bounded_loops}));
  const auto wrong = add_without(options, "btf,ringbuff", "--without");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().what().find("ringbuff"), std::string::npos) << wrong.error().what();
}

TEST(Legacy, every_program_of_the_tier_is_in_a_version) {
  std::set<std::string> used;
  for (const GroupSpec& group : program_groups()) {
    for (const ProgramVersion& version : group.versions) {
      for (const Program& program : version.programs) {
        used.insert(program.name());
        EXPECT_EQ(program.name().find("__legacy") != std::string::npos, version.name == legacy_tier) << program.name();
      }
    }
  }
  for (const auto& [name, code] : legacy_programs()) EXPECT_TRUE(used.contains(name)) << name;
}

}  // namespace
}  // namespace nightjar
