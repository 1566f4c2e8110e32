// SPDX-License-Identifier: Apache-2.0
// The memory and signal families: what one process does to another, and memory that can be executed.
#include <cstring>

#include "agent/pipeline.hpp"
#include "wire/memory.h"
#include "wire/signal.h"

namespace nightjar {
namespace {

struct Targeted {  // how the records of events with a target begin
  wire_header hdr;
  wire_task task;
  wire_target target;
};

void add_number(std::string& list, std::uint64_t value) {
  list += list.empty() ? '[' : ',';
  const bool exact = value <= json::largest_exact_number;
  if (!exact) list += '"';
  json::number(list, value);
  if (!exact) list += '"';
}

}  // namespace

void Pipeline::target_facts(const wire_target& target) {
  if (target.pid == 0) return;
  const Process* process = target.start_ns != 0 ? processes_.find({target.pid, known_start(target.start_ns)})
                                                : processes_.find_live(target.pid);
  if (process != nullptr) {
    facts_[Fact::target_entity_id] = process->entity_id;
    if (process->image) facts_[Fact::target_executable] = process->image->executable;
  } else if (target.start_ns != 0) {
    facts_[Fact::target_entity_id] = entity_id(target.pid, known_start(target.start_ns));
  }
}

void Pipeline::on_targeted(Kind kind, Bytes record, std::string& out) {
  if (!wanted(kind)) return;
  acting_facts(record);
  target_facts(as_wire<Targeted>(record).target);
  if (kind == Kind::process_vm_write || kind == Kind::proc_mem_write) {
    const auto& write = as_wire<memory_write>(record);
    const std::string_view ranges = text_of(record, write.range);
    std::string& addresses = scratch();
    std::string& lengths = scratch();
    for (std::size_t at = 0; at + sizeof(wire_range) <= ranges.size(); at += sizeof(wire_range)) {
      wire_range range;
      std::memcpy(&range, ranges.data() + at, sizeof range);
      add_number(addresses, range.address);
      add_number(lengths, range.length);
    }
    if (!addresses.empty()) addresses += ']';
    if (!lengths.empty()) lengths += ']';
    facts_[Fact::memory_addresses] = addresses;
    facts_[Fact::memory_lengths] = lengths;
    if (write.ranges > WIRE_RANGES) {
      const std::string full = std::to_string(std::uint64_t{write.ranges} * sizeof(wire_range));
      truncated_.emplace_back("nightjar.memory.addresses", full);
      truncated_.emplace_back("nightjar.memory.lengths", full);
    }
  } else if (kind == Kind::ptrace) {
    const auto& done = as_wire<ptrace_done>(record);
    if (done.address != 0) {
      std::string& address = scratch();
      add_number(address, done.address);
      facts_[Fact::memory_addresses] = address += ']';
    }
  }
  finish(kind, record, out);
}

void Pipeline::on_executable_memory(Kind kind, Bytes record, std::string& out) {
  if (!wanted(kind)) return;
  const auto& memory = as_wire<executable_memory>(record);
  acting_facts(record);
  std::string& address = scratch();
  std::string& length = scratch();
  add_number(address, memory.address);
  add_number(length, memory.length);
  facts_[Fact::memory_addresses] = address += ']';
  facts_[Fact::memory_lengths] = length += ']';
  finish(kind, record, out);
}

void Pipeline::on_plain(Kind kind, Bytes record, std::string& out) {
  if (!wanted(kind)) return;
  acting_facts(record);
  finish(kind, record, out);
}

}  // namespace nightjar
