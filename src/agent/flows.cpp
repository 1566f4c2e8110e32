// SPDX-License-Identifier: Apache-2.0
#include "agent/flows.hpp"

#include <set>

namespace nightjar {
namespace {

constexpr std::uint64_t second = 1'000'000'000;
// Longer than any resolver waits for an answer, short enough that the table (16,384 flows) does not fill.
constexpr std::uint64_t idle_ns = 30 * second;
constexpr std::uint64_t summary_every_ns = 60 * second;

Result<std::vector<wire_flow_key>> keys_of(const Map& flows) {
  std::vector<wire_flow_key> keys;
  NIGHTJAR_CHECK(flows.for_each_key([&](std::span<const std::byte> bytes) {
    wire_flow_key key;
    std::memcpy(&key, bytes.data(), sizeof key);
    keys.push_back(key);
    return true;
  }));
  return keys;
}

/// The numbers of the sockets that there are.
Result<std::set<std::uint64_t>> numbers_of(const Map& sockets) {
  std::set<std::uint64_t> numbers;
  NIGHTJAR_CHECK(sockets.for_each_key([&](std::span<const std::byte> key) {
    std::uint64_t number = 0;
    if (sockets.get(key, std::as_writable_bytes(std::span(&number, 1)))) numbers.insert(number);
    return true;
  }));
  return numbers;
}

}  // namespace

Result<> Flows::sweep(std::uint64_t now_ns, bool all, const std::function<void(Bytes)>& tell) {
  // Flows first: a socket that is not among those read later is gone.
  const auto keys = NIGHTJAR_TRY(keys_of(flows_));
  if (keys.empty()) return {};
  std::set<std::uint64_t> numbers;
  if (sockets_ != nullptr) numbers = NIGHTJAR_TRY(numbers_of(*sockets_));
  for (const wire_flow_key& key : keys) {
    const auto flow = flows_.get<wire_flow_key, net_connection>(key);
    if (!flow) continue;  // the kernel gave the key twice
    const std::uint64_t last = flow->start_ns + flow->duration_ns;
    const bool gone = sockets_ != nullptr && !numbers.contains(key.socket);
    if (all || gone || now_ns > last + idle_ns) {
      NIGHTJAR_CHECK(flows_.erase_key(key));
      tell_one(key, *flow, now_ns, true, tell);
      continue;
    }
    const auto told = told_.find(key);
    if (now_ns > (told == told_.end() ? flow->start_ns : told->second.at_ns) + summary_every_ns)
      tell_one(key, *flow, now_ns, false, tell);
  }
  return {};
}

void Flows::tell_one(const wire_flow_key& key, net_connection flow, std::uint64_t now_ns, bool ended,
                     const std::function<void(Bytes)>& tell) {
  const Told counted{now_ns, flow.source_bytes, flow.destination_bytes, flow.source_packets, flow.destination_packets};
  const auto told = told_.find(key);
  std::uint64_t told_singly = 0;
  if (told != told_.end()) {
    flow.source_bytes -= told->second.source_bytes;
    flow.destination_bytes -= told->second.destination_bytes;
    flow.source_packets -= told->second.source_packets;
    flow.destination_packets -= told->second.destination_packets;
  }
  // The first of each direction had an event of its own.
  const auto first_now = [&](std::uint64_t all, std::uint64_t before) { return all != 0 && before == 0 ? 1U : 0U; };
  told_singly = first_now(counted.source_packets, told == told_.end() ? 0 : told->second.source_packets) +
                first_now(counted.destination_packets, told == told_.end() ? 0 : told->second.destination_packets);
  flow.suppressed = flow.source_packets + flow.destination_packets - told_singly;

  flow.hdr.kind = flow.direction == WIRE_EGRESS ? WIRE_UDP_SEND : WIRE_UDP_RECEIVE;
  flow.hdr.time_ns = now_ns;
  flow.hdr.seq = sequence_++;
  flow.hdr.size = sizeof flow;
  flow.hdr.cpu = 0xffff;  // none: told by the agent
  flow.state = ended ? WIRE_FLOW_ENDED : WIRE_FLOW_ACTIVE;
  ++(flow.hdr.kind == WIRE_UDP_SEND ? sent_told_ : received_told_);
  tell(std::as_bytes(std::span(&flow, 1)));
  if (ended) {
    told_.erase(key);
  } else {
    told_[key] = counted;
  }
}

}  // namespace nightjar
