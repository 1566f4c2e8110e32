// SPDX-License-Identifier: Apache-2.0
#include "agent/flows.hpp"

#include <atomic>
#include <set>

namespace nightjar {
namespace {

constexpr std::uint64_t second = 1'000'000'000;
// Longer than any resolver waits for an answer, short enough that the table (16,384 flows) does not fill.
constexpr std::uint64_t idle_ns = 30 * second;
constexpr std::uint64_t summary_every_ns = 60 * second;

constexpr std::uint64_t look_every_ns = 5 * second;

struct Found {
  wire_flow_key key;
  net_connection flow;
};

Result<std::vector<Found>> flows_in(const Map& flows) {
  std::vector<Found> found;
  NIGHTJAR_CHECK(flows.for_each([&](std::span<const std::byte> key, std::span<const std::byte> value) {
    Found& one = found.emplace_back();
    std::memcpy(&one.key, key.data(), sizeof one.key);
    std::memcpy(&one.flow, value.data(), sizeof one.flow);
    return true;
  }));
  return found;
}

/// The numbers of the sockets that there are.
Result<std::set<std::uint64_t>> numbers_of(const Map& sockets) {
  std::set<std::uint64_t> numbers;
  NIGHTJAR_CHECK(sockets.for_each([&](std::span<const std::byte> /*socket*/, std::span<const std::byte> value) {
    std::uint64_t number = 0;
    std::memcpy(&number, value.data(), sizeof number);
    numbers.insert(number);
    return true;
  }));
  return numbers;
}

}  // namespace

/// As it is at the end: it may have been counted on since it was looked at.
Result<net_connection> Flows::take(const wire_flow_key& key) {
  net_connection flow{};
  const auto key_bytes = std::as_bytes(std::span(&key, 1));
  const auto value_bytes = std::as_writable_bytes(std::span(&flow, 1));
  auto taken = can_take_ ? flows_.take(key_bytes, value_bytes) : Result<>(Error(errc::unsupported, ""));
  if (!taken && taken.error().code() == errc::unsupported) {
    can_take_ = false;
    NIGHTJAR_CHECK(flows_.get(key_bytes, value_bytes));
    NIGHTJAR_CHECK(flows_.erase(key_bytes));
  } else if (!taken) {
    return std::move(taken).error();
  }
  ++taken_;
  return flow;
}

Result<std::uint64_t> Flows::resume(std::uint64_t told_before) {
  std::uint64_t made = 0;
  std::size_t there = 0;
  // Again when one was made meanwhile.
  for (int attempt = 0; attempt < 10; ++attempt) {
    made = std::atomic_ref(counts_.made).load();
    there = NIGHTJAR_TRY(flows_in(flows_)).size();
    if (std::atomic_ref(counts_.made).load() == made) break;
  }
  taken_ = made > there ? made - there : 0;
  return taken_ > told_before ? taken_ - told_before : 0;
}

Result<> Flows::sweep(std::uint64_t now_ns, bool all, const std::function<void(Bytes)>& tell) {
  const std::uint64_t gone = std::atomic_ref(counts_.sockets_gone).load();
  if (std::atomic_ref(counts_.made).load() == taken_) return {};
  if (!all && gone == gone_seen_ && now_ns < next_look_ns_) return {};
  gone_seen_ = gone;
  next_look_ns_ = now_ns + look_every_ns;
  // Flows first: a socket that is not among those read later is gone.
  const auto found = NIGHTJAR_TRY(flows_in(flows_));
  std::set<std::uint64_t> numbers;
  if (sockets_ != nullptr) numbers = NIGHTJAR_TRY(numbers_of(*sockets_));
  for (const auto& [key, flow] : found) {
    const std::uint64_t last = flow.start_ns + flow.duration_ns;
    const bool is_gone = sockets_ != nullptr && !numbers.contains(key.socket);
    if (all || is_gone || now_ns > last + idle_ns) {
      auto taken = take(key);
      if (!taken && taken.error().code() == errc::not_found) continue;  // the kernel gave the key twice
      if (!taken) return std::move(taken).error();
      tell_one(key, *taken, now_ns, true, tell);
      continue;
    }
    if (only_ends_) continue;
    const auto told = told_.find(key);
    if (now_ns > (told == told_.end() ? flow.start_ns : told->second.at_ns) + summary_every_ns)
      tell_one(key, flow, now_ns, false, tell);
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
