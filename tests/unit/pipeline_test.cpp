// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline.hpp"

#include <cstring>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace nightjar {
namespace {

/// An exec record with its tail.
struct ExecRecord {
  alignas(8) std::vector<std::byte> bytes = std::vector<std::byte>(sizeof(process_exec));

  process_exec& exec() { return *reinterpret_cast<process_exec*>(bytes.data()); }
  void put(wire_slice process_exec::* member, std::string_view text) {
    const auto at = static_cast<std::uint32_t>(bytes.size());
    bytes.resize(bytes.size() + text.size());
    std::memcpy(bytes.data() + at, text.data(), text.size());
    exec().*member = {at, static_cast<std::uint32_t>(text.size())};
    exec().hdr.size = static_cast<std::uint32_t>(bytes.size());
  }
  ExecRecord(std::uint32_t pid, std::string_view args) {
    exec().hdr.kind = WIRE_PROCESS_EXEC;
    exec().task.pid = exec().task.tid = pid;
    exec().task.start_ns = pid;
    exec().args_bytes = args.size();
    put(&process_exec::executable, std::string_view("cat\0bin\0", 8));
    put(&process_exec::data, args);
  }
};

std::vector<std::byte> piece(std::uint32_t pid, std::uint32_t offset, std::string_view text) {
  std::vector<std::byte> bytes(sizeof(exec_data) + text.size());
  auto& record = *reinterpret_cast<exec_data*>(bytes.data());
  record.hdr.kind = WIRE_EXEC_DATA;
  record.hdr.size = static_cast<std::uint32_t>(bytes.size());
  record.pid = pid;
  record.offset = offset;
  record.data = {sizeof(exec_data), static_cast<std::uint32_t>(text.size())};
  std::memcpy(bytes.data() + sizeof(exec_data), text.data(), text.size());
  return bytes;
}

std::vector<std::byte> cgroup(std::uint64_t id, std::string_view path) {
  std::vector<std::byte> bytes(sizeof(cgroup_path) + path.size());
  auto& record = *reinterpret_cast<cgroup_path*>(bytes.data());
  record.hdr.kind = WIRE_CGROUP;
  record.hdr.size = static_cast<std::uint32_t>(bytes.size());
  record.id = id;
  record.path = {sizeof(cgroup_path), static_cast<std::uint32_t>(path.size())};
  std::memcpy(bytes.data() + sizeof(cgroup_path), path.data(), path.size());
  return bytes;
}

class PipelineTest : public testing::Test {
 protected:
  nlohmann::json take(Bytes bytes) {
    std::string out;
    pipeline_.take(bytes, out);
    return out.empty() ? nlohmann::json() : nlohmann::json::parse(out);
  }
  static Pipeline::Settings settings() {
    Pipeline::Settings all;
    for (const EventInfo& event : all_events()) all.wanted.insert(event.kind);
    all.sees_scripts = true;
    return all;
  }
  Host host_;
  Pipeline pipeline_{host_, settings()};
};

TEST_F(PipelineTest, a_large_argv_is_put_together_from_its_pieces) {
  take(piece(7, 0, std::string_view("a\0b", 3)));
  take(piece(7, 3, std::string_view("c\0", 2)));
  ExecRecord record(7, std::string_view("d\0", 2));
  record.exec().data_before = 5;
  record.exec().args_bytes = 7;
  const auto event = take(record.bytes);
  EXPECT_EQ(event["process"]["args"], nlohmann::json::array({"a", "bc", "d"}));
  EXPECT_FALSE(event["nightjar"].contains("truncated"));
}

TEST_F(PipelineTest, a_lost_piece_cuts_the_argv_and_says_so) {
  take(piece(7, 0, std::string_view("a\0b", 3)));
  // The piece at 3 was lost; the one at 5 does not continue what is there.
  take(piece(7, 5, std::string_view("d\0", 2)));
  ExecRecord record(7, std::string_view("e\0", 2));
  record.exec().data_before = 7;
  record.exec().args_bytes = 9;
  const auto event = take(record.bytes);
  EXPECT_EQ(event["process"]["args"], nlohmann::json::array({"a", "b"}));
  EXPECT_EQ(event["nightjar"]["truncated"]["process.args"], 9);
}

TEST_F(PipelineTest, pieces_of_another_process_are_not_taken) {
  take(piece(8, 0, std::string_view("evil\0", 5)));
  ExecRecord record(7, std::string_view("d\0", 2));
  record.exec().data_before = 5;
  record.exec().args_bytes = 7;
  const auto event = take(record.bytes);
  EXPECT_TRUE(event["process"]["args"].empty()) << event["process"]["args"];
}

TEST_F(PipelineTest, counts_what_is_no_record) {
  const std::vector<std::byte> nothing(5);
  EXPECT_TRUE(take(nothing).is_null());
  ExecRecord record(7, "");
  record.exec().hdr.kind = 77;
  EXPECT_TRUE(take(record.bytes).is_null());
  EXPECT_EQ(pipeline_.malformed(), 2U);
}

/// The kernel side tells a path once, and again when about 2,048 others were told since (cgroups_seen, bpf/task.bpf.h).
TEST_F(PipelineTest, a_cgroup_is_known_as_long_as_the_kernel_side_does_not_tell_it_again) {
  constexpr std::uint64_t told_once = 2048, all = 20011;
  for (std::uint64_t id = 1; id <= all; ++id) {
    take(cgroup(id, std::string_view("c\0", 2)));
    if (id <= told_once || id % 13 != 0) continue;
    ExecRecord record(7, "");
    record.exec().task.cgroup_id = id - told_once;
    ASSERT_EQ(take(record.bytes)["nightjar"]["cgroup"]["path"], "/c") << id;
  }
}

TEST_F(PipelineTest, sequence_goes_up_by_one) {
  for (unsigned i = 1; i <= 7; ++i) {
    ExecRecord record(i, "");
    EXPECT_EQ(take(record.bytes)["event"]["sequence"], i);
  }
}

TEST_F(PipelineTest, an_exit_of_an_unknown_process_names_what_is_missing) {
  process_exit record{};
  record.hdr.kind = WIRE_PROCESS_EXIT;
  record.hdr.size = sizeof record;
  record.task.pid = 9;
  record.status = 7 << 8;
  const auto event = take(std::as_bytes(std::span(&record, 1)));
  EXPECT_EQ(event["process"]["exit_code"], 7);
  EXPECT_EQ(event["nightjar"]["incomplete"],
            nlohmann::json::array({"process.executable", "process.args", "process.command_line"}));
}

/// /proc tells starts in steps of 10 ms, the kernel exactly: the ids of one process are one.
class PipelineWithoutIterator : public testing::Test {
 protected:
  static constexpr std::uint64_t ms = 1'000'000;
  using Pid = std::uint32_t;

  static Pipeline::Settings settings() {
    Pipeline::Settings all;
    for (const EventInfo& event : all_events()) all.wanted.insert(event.kind);
    all.start_step_ns = 10 * ms;
    return all;
  }
  static nlohmann::json parsed(const std::string& out) { return nlohmann::json::parse(out)["process"]; }
  static nlohmann::json snapshot(Pipeline& pipeline, Pid pid, std::uint64_t start_ns) {
    ExecRecord record(pid, "");
    record.exec().hdr.kind = WIRE_PROCESS_SNAPSHOT;
    record.exec().task.start_ns = start_ns;
    std::string out;
    pipeline.take_snapshot(record.bytes, "cat", "", true, out);
    return parsed(out);
  }
  static nlohmann::json exec(Pipeline& pipeline, Pid pid, std::uint64_t start_ns) {
    ExecRecord record(pid, "");
    record.exec().task.start_ns = start_ns;
    std::string out;
    pipeline.take(record.bytes, out);
    return parsed(out);
  }
  static nlohmann::json fork(Pipeline& pipeline, Pid pid, std::uint64_t start_ns, Pid parent = 1,
                             std::uint64_t parent_start_ns = 0) {
    process_fork record{};
    record.hdr.kind = WIRE_PROCESS_FORK;
    record.hdr.size = sizeof record;
    record.task.pid = pid;
    record.task.start_ns = start_ns;
    record.task.parent_pid = record.creator_pid = parent;
    record.task.parent_start_ns = parent_start_ns;
    std::string out;
    pipeline.take(std::as_bytes(std::span(&record, 1)), out);
    return parsed(out);
  }
  static nlohmann::json exit(Pipeline& pipeline, Pid pid, std::uint64_t start_ns) {
    process_exit record{};
    record.hdr.kind = WIRE_PROCESS_EXIT;
    record.hdr.size = sizeof record;
    record.task.pid = pid;
    record.task.start_ns = start_ns;
    std::string out;
    pipeline.take(std::as_bytes(std::span(&record, 1)), out);
    return parsed(out);
  }
  Host host_;
  Pipeline pipeline_{host_, settings()};
};

TEST_F(PipelineWithoutIterator, a_process_keeps_its_id_when_its_exact_start_comes) {
  const auto first = snapshot(pipeline_, 7, 20 * ms);
  const auto child = fork(pipeline_, 8, 40 * ms + 1, 7, 23 * ms);
  EXPECT_EQ(child["parent"]["entity_id"], first["entity_id"]);
  for (const auto& event : {exec(pipeline_, 7, 23 * ms), exit(pipeline_, 7, 23 * ms)}) {
    EXPECT_EQ(event["entity_id"], first["entity_id"]);
    EXPECT_EQ(event["start"], first["start"]);
  }
}

TEST_F(PipelineWithoutIterator, the_next_agent_gives_the_same_id) {
  const auto told = fork(pipeline_, 7, 23 * ms);
  Pipeline next(host_, settings());
  EXPECT_EQ(snapshot(next, 7, 20 * ms)["entity_id"], told["entity_id"]);
  EXPECT_EQ(exit(next, 7, 23 * ms)["entity_id"], told["entity_id"]);
}

TEST_F(PipelineWithoutIterator, whose_fork_waits_in_the_buffer_is_no_other_process) {
  const auto first = snapshot(pipeline_, 7, 20 * ms);
  EXPECT_EQ(fork(pipeline_, 7, 23 * ms)["entity_id"], first["entity_id"]);
  EXPECT_EQ(exec(pipeline_, 7, 23 * ms)["entity_id"], first["entity_id"]);
}

TEST_F(PipelineWithoutIterator, two_processes_with_a_pid_in_one_step_are_told_apart) {
  const auto first = snapshot(pipeline_, 7, 20 * ms);
  exit(pipeline_, 7, 23 * ms);
  const auto second = fork(pipeline_, 7, 27 * ms);
  EXPECT_NE(second["entity_id"], first["entity_id"]);
  EXPECT_EQ(exec(pipeline_, 7, 27 * ms)["entity_id"], second["entity_id"]);
  EXPECT_EQ(exit(pipeline_, 7, 27 * ms)["entity_id"], second["entity_id"]);
  const auto third = fork(pipeline_, 7, 29 * ms);
  EXPECT_NE(third["entity_id"], first["entity_id"]);
  EXPECT_NE(third["entity_id"], second["entity_id"]);
}

}  // namespace
}  // namespace nightjar
