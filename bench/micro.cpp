// SPDX-License-Identifier: Apache-2.0
// Micro-benchmarks of user space: micro [--benchmark_filter=REGEX]. They say where time goes; nothing fails on time.
#include <cstring>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "agent/merger.hpp"
#include "agent/pipeline.hpp"
#include "atlas/atlas.hpp"
#include "sample_events.hpp"

namespace nightjar {
namespace {

/// Every field of an event that there is, with values for the facts of user space.
void encode(benchmark::State& state, const EventInfo* described, Format format) {
  const EventInfo& event = *described;
  std::vector<std::byte> record;
  test::fill(record, event.fields, 0);
  test::fill_slices(record, event.fields, 0);
  std::vector<std::string> values;
  values.reserve(fact_count);
  Facts facts;
  for (const FactInfo& fact : all_facts()) {
    if (!fact_applies(fact, event)) continue;
    values.push_back(fact.fact == Fact::dns_answers ? R"([{"name":"n","type":"A","class":"IN","ttl":1,"data":"d"}])"
                                                    : test::sample_value(fact.type));
    facts[fact.fact] = values.back();
  }
  const Host host = Host::read();
  Encoder encoder(host.constants(), format);
  std::string line;
  for (auto unused : state) {
    line.clear();
    encoder.encode(line, event, record, facts);
    benchmark::DoNotOptimize(line.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * line.size()));
}

/// A record with a task, and for an exec its paths and argv.
std::vector<std::byte> process_record(std::uint16_t kind, std::size_t fixed, std::uint32_t pid) {
  std::vector<std::byte> bytes(fixed);
  auto& task = *reinterpret_cast<wire_task*>(bytes.data() + sizeof(wire_header));
  task.pid = task.tid = task.vpid = pid;
  task.parent_pid = 1;
  task.start_ns = pid * 1000ULL;
  std::memcpy(task.comm, "workload", sizeof "workload");
  const auto put = [&](wire_slice process_exec::* member, std::string_view text) {
    const wire_slice slice{static_cast<std::uint32_t>(bytes.size()), static_cast<std::uint32_t>(text.size())};
    bytes.resize(bytes.size() + text.size());
    std::memcpy(bytes.data() + slice.off, text.data(), text.size());
    reinterpret_cast<process_exec*>(bytes.data())->*member = slice;
  };
  if (kind == WIRE_PROCESS_EXEC) {
    constexpr std::string_view args("tool\0--option=value\0/etc/some/file\0", 35);
    put(&process_exec::executable, std::string_view("tool\0bin\0usr\0", 13));
    put(&process_exec::cwd, std::string_view("user\0home\0", 10));
    put(&process_exec::filename, std::string_view("/usr/bin/tool\0", 14));
    put(&process_exec::data, args);
    reinterpret_cast<process_exec*>(bytes.data())->args_bytes = args.size();
    reinterpret_cast<process_exec*>(bytes.data())->args_count = 3;
  }
  auto& header = *reinterpret_cast<wire_header*>(bytes.data());
  header.kind = kind;
  header.size = static_cast<std::uint32_t>(bytes.size());
  return bytes;
}

/// From three records, as the kernel sends them, to three lines.
void life_of_a_process(benchmark::State& state) {
  Pipeline::Settings settings;
  for (const EventInfo& event : all_events()) settings.wanted.insert(event.kind);
  settings.sees_scripts = true;
  const Host host = Host::read();
  Pipeline pipeline(host, settings);
  auto fork = process_record(WIRE_PROCESS_FORK, sizeof(process_fork), 1);
  auto exec = process_record(WIRE_PROCESS_EXEC, sizeof(process_exec), 1);
  auto exit = process_record(WIRE_PROCESS_EXIT, sizeof(process_exit), 1);
  std::string out;
  std::uint32_t pid = 2;
  std::size_t bytes = 0;
  for (auto unused : state) {
    ++pid;
    out.clear();
    for (auto* record : {&fork, &exec, &exit}) {
      auto& task = *reinterpret_cast<wire_task*>(record->data() + sizeof(wire_header));
      task.pid = task.tid = task.vpid = pid;
      task.start_ns = pid * 1000ULL;
      pipeline.take(*record, out);
    }
    (void)pipeline.take_lines();
    bytes += out.size();
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * 3);
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(life_of_a_process);

/// A process that does one thing after the other: who it is, is the same in each line.
void busy_process(benchmark::State& state) {
  Pipeline::Settings settings;
  for (const EventInfo& event : all_events()) settings.wanted.insert(event.kind);
  const Host host = Host::read();
  Pipeline pipeline(host, settings);
  std::string out;
  for (const auto& [kind, size] :
       {std::pair(WIRE_PROCESS_FORK, sizeof(process_fork)), std::pair(WIRE_PROCESS_EXEC, sizeof(process_exec))})
    pipeline.take(process_record(static_cast<std::uint16_t>(kind), size, 7), out);
  std::vector<std::vector<std::byte>> records;
  for (const auto& [kind, size] :
       {std::pair(WIRE_FILE_CHMOD, sizeof(file_event)), std::pair(WIRE_FILE_RENAME, sizeof(file_event)),
        std::pair(WIRE_NET_BIND, sizeof(net_endpoint)), std::pair(WIRE_MPROTECT_EXEC, sizeof(executable_memory))}) {
    auto& record = records.emplace_back(process_record(static_cast<std::uint16_t>(kind), size, 7));
    if (size != sizeof(file_event)) continue;
    constexpr std::string_view path("some.file\0work\0tmp\0", 19);
    for (auto member : {&file_event::path, &file_event::old_path}) {
      if (kind == WIRE_FILE_CHMOD && member == &file_event::old_path) continue;
      const wire_slice slice{static_cast<std::uint32_t>(record.size()), static_cast<std::uint32_t>(path.size())};
      record.insert(record.end(), reinterpret_cast<const std::byte*>(path.data()),
                    reinterpret_cast<const std::byte*>(path.data()) + path.size());
      reinterpret_cast<file_event*>(record.data())->*member = slice;
    }
    reinterpret_cast<wire_header*>(record.data())->size = static_cast<std::uint32_t>(record.size());
  }
  std::size_t bytes = 0;
  for (auto unused : state) {
    out.clear();
    for (const auto& record : records) pipeline.take(record, out);
    (void)pipeline.take_lines();
    bytes += out.size();
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * records.size()));
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(busy_process);

/// From two buffers into one order, round after round.
void merge(benchmark::State& state) {
  constexpr std::uint64_t round_ns = 9'000'000;
  Merger merger(2 * round_ns);
  auto record = process_record(WIRE_PROCESS_EXIT, sizeof(process_exit), 7);
  auto& header = *reinterpret_cast<wire_header*>(record.data());
  constexpr std::uint64_t records = 500;
  std::uint64_t now_ns = round_ns;
  std::size_t given = 0;
  for (auto unused : state) {
    merger.begin_round(now_ns);
    for (std::uint64_t i = 0; i < records; ++i) {
      // A tenth comes from the first buffer.
      header.time_ns = i < records / 10 ? now_ns + i * 10 * (round_ns / records) : now_ns + i * (round_ns / records);
      merger.add(record);
    }
    merger.give(false, [&](Bytes, const Origin&) { ++given; });
    now_ns += round_ns;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(given));
}
BENCHMARK(merge);

void check_record(benchmark::State& state) {
  const auto exec = process_record(WIRE_PROCESS_EXEC, sizeof(process_exec), 7);
  for (auto unused : state) benchmark::DoNotOptimize(checked_record(exec));
}
BENCHMARK(check_record);

Process some_process(std::uint32_t pid) {
  Process process;
  process.key = {pid, pid * 1000ULL};
  process.entity_id = "\"0123456789ab-1234-123456789ab\"";
  process.start = "\"2026-11-28T20:21:37.033397576Z\"";
  return process;
}

void table_put_and_end(benchmark::State& state) {
  ProcessTable table(65536);
  std::uint32_t pid = 0;
  for (auto unused : state) {
    ++pid;
    table.put(some_process(pid));
    table.ended({pid, pid * 1000ULL});
  }
}
BENCHMARK(table_put_and_end);

void table_find(benchmark::State& state) {
  ProcessTable table(65536);
  const auto count = static_cast<std::uint32_t>(state.range(0));
  for (std::uint32_t pid = 1; pid <= count; ++pid) table.put(some_process(pid));
  std::uint32_t pid = 0;
  for (auto unused : state) {
    pid = pid % count + 1;
    benchmark::DoNotOptimize(table.find({pid, pid * 1000ULL}));
  }
}
BENCHMARK(table_find)->Arg(100)->Arg(10000);

void atlas_lookup(benchmark::State& state) {
  const auto atlas = atlas::Atlas::open(ATLAS_PACK);
  if (!atlas) return state.SkipWithError("the ready-made atlas cannot be opened");
  std::vector<std::string> ids;
  for (const atlas::Kernel& kernel : atlas->kernels()) ids.push_back(kernel.build_id);
  std::size_t next = 0;
  for (auto unused : state) {
    benchmark::DoNotOptimize(atlas->find_build_id(ids[next]));
    next = (next + 1) % ids.size();
  }
}
BENCHMARK(atlas_lookup);

}  // namespace
}  // namespace nightjar

int main(int argc, char** argv) {
  for (const nightjar::EventInfo& event : nightjar::all_events()) {
    const std::string action(event.action);
    benchmark::RegisterBenchmark(("encode/ecs/" + action).c_str(), nightjar::encode, &event, nightjar::Format::ecs);
    benchmark::RegisterBenchmark(("encode/ocsf/" + action).c_str(), nightjar::encode, &event, nightjar::Format::ocsf);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
