// SPDX-License-Identifier: Apache-2.0
// UDP flows, counted in the kernel: finds those that are over, and tells them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "nightjar/map.hpp"
#include "wire/record.hpp"

namespace nightjar {

class Flows {
 public:
  /// `sockets` may be null: this tier does not see sockets go. `counts` are the programs'. `sequence_base` starts the
  /// numbers of the summaries.
  Flows(const Map& flows, const Map* sockets, wire_flow_counts& counts, std::uint64_t sequence_base)
      : flows_(flows), sockets_(sockets), counts_(counts), sequence_(sequence_base) {}

  /// Goes on after an agent that is gone, and that told `told_before` ended flows: how many it took from the table and
  /// could not tell. What it told of those that go on is not known: call tell_only_ends() for both.
  Result<std::uint64_t> resume(std::uint64_t told_before);
  void tell_only_ends() { only_ends_ = true; }

  /// Summaries told so far, as records of that kind (enum wire_kind).
  [[nodiscard]] std::uint64_t told(unsigned wire_kind) const {
    return wire_kind == WIRE_UDP_SEND ? sent_told_ : wire_kind == WIRE_UDP_RECEIVE ? received_told_ : 0;
  }

  /// Gives `tell` a record (net_connection) for each flow that ended: its socket is gone, it was idle for 30 s, or
  /// `all`; and for those that go on, one every 60 s with what was counted since. Makes no system call while there is
  /// no flow, and looks at flows every 5 s, or when a socket went: on kernels whose tracepoints can be preempted, each
  /// call that reads a map can make a program be skipped.
  Result<> sweep(std::uint64_t now_ns, bool all, const std::function<void(Bytes)>& tell);

 private:
  /// What was told of a flow that goes on.
  struct Told {
    std::uint64_t at_ns, source_bytes, destination_bytes, source_packets, destination_packets;
  };
  struct Later {
    bool operator()(const wire_flow_key& a, const wire_flow_key& b) const { return std::memcmp(&a, &b, sizeof a) < 0; }
  };
  Result<net_connection> take(const wire_flow_key& key);
  void tell_one(const wire_flow_key& key, net_connection flow, std::uint64_t now_ns, bool ended,
                const std::function<void(Bytes)>& tell);

  const Map& flows_;
  const Map* sockets_;
  wire_flow_counts& counts_;
  std::uint64_t taken_ = 0;  // of the flows that were made
  std::uint64_t gone_seen_ = 0;
  std::uint64_t next_look_ns_ = 0;
  bool can_take_ = true;
  bool only_ends_ = false;
  std::uint64_t sequence_;
  std::uint64_t sent_told_ = 0, received_told_ = 0;
  std::map<wire_flow_key, Told, Later> told_;
};

}  // namespace nightjar
