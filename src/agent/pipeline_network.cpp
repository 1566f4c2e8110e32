// SPDX-License-Identifier: Apache-2.0
// The network family: what its records mean.
#include <cerrno>

#include "agent/pipeline.hpp"
#include "wire/address.hpp"
#include "wire/community_id.hpp"

namespace nightjar {
namespace {

std::string_view outcome_of_error(std::uint32_t error) {
  switch (error) {
    case ECONNREFUSED:
      return R"("refused")";
    case ETIMEDOUT:
      return R"("timed_out")";
    case ECONNRESET:
    case EPIPE:
      return R"("reset")";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
      return R"("unreachable")";
    case ECONNABORTED:
      return R"("aborted")";
    default:
      return R"("failed")";
  }
}

/// Without an error: a connection that ends in one step was cut off by this side (unread data, or no lingering).
std::string_view outcome_of(const net_connection& connection) {
  constexpr std::uint8_t established = 1;  // TCP_ESTABLISHED
  constexpr std::uint8_t close_wait = 8;   // TCP_CLOSE_WAIT
  if (connection.error != 0) return outcome_of_error(connection.error);
  if (connection.hdr.kind == WIRE_NET_CONNECT)
    return connection.state == established ? R"("established")" : R"("aborted")";
  return connection.state == established || connection.state == close_wait ? R"("aborted")" : R"("closed")";
}

}  // namespace

void Pipeline::flow_facts(const net_connection& flow) {
  const std::uint64_t missing = (is_any_address(flow.source_ip) ? missing_source_ip : 0) |
                                (flow.source_port == 0 ? missing_source_port : 0) |
                                (is_any_address(flow.destination_ip) ? missing_destination_ip : 0) |
                                (flow.destination_port == 0 ? missing_destination_port : 0);
  more_missing_ |= missing;
  if (missing != 0) return;  // the flow's name is made of all four
  facts_[Fact::community_id] = scratch() =
      community_id({flow.source_ip, flow.destination_ip, flow.source_port, flow.destination_port, flow.transport});
}

void Pipeline::on_connection(Bytes record, std::string& out) {
  const auto& connection = as_wire<net_connection>(record);
  const auto kind = static_cast<Kind>(connection.hdr.kind);
  if (!wanted(kind)) return;
  common_facts(connection.hdr, connection.task, processes_.find(key_of(connection.task)));
  flow_facts(connection);
  if (kind != Kind::accept) {
    facts_[Fact::net_outcome] = outcome_of(connection);
    if (connection.start_ns != 0) {
      facts_[Fact::event_start] = time_fact(connection.start_ns);
      facts_[Fact::duration] = number_fact(connection.duration_ns);
    }
  }
  if (kind == Kind::connect)
    facts_[Fact::outcome] = connection.state == 1 /* TCP_ESTABLISHED */ ? R"("success")" : R"("failure")";
  finish(kind, record, out);
}

void Pipeline::on_flow(Bytes record, std::string& out) {
  const auto& flow = as_wire<net_connection>(record);
  const auto kind = static_cast<Kind>(flow.hdr.kind);
  if (!wanted(kind)) return;
  common_facts(flow.hdr, flow.task, processes_.find(key_of(flow.task)));
  flow_facts(flow);
  facts_[Fact::event_start] = time_fact(flow.start_ns);
  facts_[Fact::event_type] = flow.state == WIRE_FLOW_NEW      ? R"(["connection","start"])"
                             : flow.state == WIRE_FLOW_ACTIVE ? R"(["connection","info"])"
                                                              : R"(["connection","end"])";
  if (flow.state != WIRE_FLOW_NEW) facts_[Fact::duration] = number_fact(flow.duration_ns);
  if (flow.suppressed != 0) facts_[Fact::suppressed_key] = R"("udp_datagram")";
  finish(kind, record, out);
}

void Pipeline::on_endpoint(Bytes record, std::string& out) {
  const auto& endpoint = as_wire<net_endpoint>(record);
  const auto kind = static_cast<Kind>(endpoint.hdr.kind);
  if (!wanted(kind)) return;
  common_facts(endpoint.hdr, endpoint.task, processes_.find(key_of(endpoint.task)));
  finish(kind, record, out);
}

}  // namespace nightjar
