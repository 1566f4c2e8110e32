// SPDX-License-Identifier: Apache-2.0
// UDP flows, DNS and unix sockets: what was sent and received, by the senders' and receivers' own counts.
#include "harness.hpp"

namespace nightjar::test {
namespace {

Watched udp(const Strings& what) {
  Strings arguments{"@LOG"};
  arguments.insert(arguments.end(), what.begin(), what.end());
  return watch("net_udp", arguments, {.options = {"--events", "network"}, .expected = {.whole_trees = false}});
}

std::int64_t number(const json& event, std::string_view field) {
  const json& value = at(event, field);
  return value.is_null() ? 0 : value.get<std::int64_t>();
}

/// Every event about one flow of a process.
std::vector<json> events_of(const Watched& watched, const json& flow) {
  std::vector<json> found;
  for (const char* action : {"udp_send", "udp_receive"}) {
    for (const auto& event : watched.stream.of(action, flow.at("pid").get<std::int64_t>())) {
      const bool egress = at(event, "network.direction") == "egress";
      const json& own = at(event, egress ? "source.port" : "destination.port");
      const json& other = at(event, egress ? "destination.port" : "source.port");
      if (own == flow.at("port") && other == flow.at("peer_port")) found.push_back(event);
    }
  }
  return found;
}

/// One start for each direction, one summary, which counts what the process counted.
void expect_flow(const Watched& watched, const json& flow) {
  int starts = 0, ends = 0;
  for (const auto& event : events_of(watched, flow)) {
    EXPECT_EQ(at(event, "network.transport"), "udp");
    EXPECT_EQ(at(event, "nightjar.net.netns"), watched.truth("netns").at("inode"));
    if (has_element(at(event, "event.type"), "start")) {
      starts++;
      continue;
    }
    ASSERT_TRUE(has_element(at(event, "event.type"), "end")) << event;
    ends++;
    const bool egress = at(event, "network.direction") == "egress";
    const std::string own = egress ? "source" : "destination", other = egress ? "destination" : "source";
    EXPECT_EQ(number(event, own + ".packets"), flow.at("sent")) << event;
    EXPECT_EQ(number(event, own + ".bytes"), flow.at("sent_bytes")) << event;
    EXPECT_EQ(number(event, other + ".packets"), flow.at("received")) << event;
    EXPECT_EQ(number(event, other + ".bytes"), flow.at("received_bytes")) << event;
    // Happened = told + suppressed.
    const std::int64_t all = flow.at("sent").get<std::int64_t>() + flow.at("received").get<std::int64_t>();
    const int told = (flow.at("sent") != 0 ? 1 : 0) + (flow.at("received") != 0 ? 1 : 0);
    EXPECT_EQ(number(event, "nightjar.suppressed.count"), all - told) << event;
  }
  EXPECT_EQ(starts, (flow.at("sent") != 0 ? 1 : 0) + (flow.at("received") != 0 ? 1 : 0)) << flow;
  EXPECT_EQ(ends, 1) << flow;
}

void expect_flows(const Strings& what, std::size_t count) {
  const auto watched = udp(what);
  SKIP_IF_TOLD(watched);
  const auto flows = watched.truths("flow");
  ASSERT_EQ(flows.size(), count);
  std::size_t events = 0;
  for (const auto& flow : flows) {
    expect_flow(watched, flow);
    events += events_of(watched, flow).size();
  }
  if (what[0] != "reused") {
    EXPECT_EQ(events, watched.stream.of("udp_send").size() + watched.stream.of("udp_receive").size());
  }
}

TEST(Udp, tells_a_long_flow_by_its_first_datagram_and_a_summary) {
  expect_flows({"flow", std::to_string(scaled(100003, 10007))}, 2);
}
TEST(Udp, tells_a_flow_over_ipv6) {
  expect_flows({"flow6", "211"}, 2);
}
TEST(Udp, tells_a_mapped_address_as_ipv4) {
  const auto watched = udp({"mapped", "211"});
  SKIP_IF_TOLD(watched);
  for (const auto& flow : watched.truths("flow")) {
    expect_flow(watched, flow);
    for (const auto& event : events_of(watched, flow)) {
      EXPECT_EQ(at(event, "network.type"), "ipv4");
      // A receiver that is bound to any address: only the datagram says which, and not every tier sees it.
      const bool any = text_at(event, "nightjar.hook").ends_with("sock_recv_length");
      EXPECT_EQ(has_element(at(event, "nightjar.incomplete"), "destination.ip"), any);
      EXPECT_EQ(at(event, "network.community_id").is_null(), any);
      EXPECT_EQ(at(event, "destination.ip"), any ? json() : "127.0.0.1");
    }
  }
}
TEST(Udp, counts_both_ways_of_a_flow) {
  expect_flows({"answer", "1"}, 2);
}
TEST(Udp, counts_both_ways_of_a_connected_flow) {
  expect_flows({"answer_connected", "1"}, 2);
}
TEST(Udp, tells_two_ports_of_one_host_apart) {
  expect_flows({"two_ports", "1"}, 2);
}
// What a tier does not see of an end is absent, and named: no 0.0.0.0, no port 0, no community id of these.
TEST(Udp, names_what_it_does_not_know_of_an_end) {
  const auto watched = udp({"unasked", "1"});
  SKIP_IF_TOLD(watched);
  const json& flow = watched.truth("flow");
  std::size_t events = 0;
  for (const char* action : {"udp_send", "udp_receive"}) {
    for (const auto& event : watched.stream.of(action)) {
      events++;
      EXPECT_EQ(at(event, "destination.ip"), "127.0.0.1");
      EXPECT_EQ(at(event, "destination.port"), flow.at("peer_port"));
      const bool all = !at(event, "source.ip").is_null() && !at(event, "source.port").is_null();
      EXPECT_EQ(at(event, "network.community_id").is_null(), !all) << event;
      for (const auto& [field, is] : {std::pair<std::string, json>{"source.ip", "127.0.0.1"},
                                      std::pair<std::string, json>{"source.port", flow.at("port")}}) {
        const json& told = at(event, field);
        EXPECT_EQ(told, told.is_null() ? json() : is) << event;
        EXPECT_EQ(has_element(at(event, "nightjar.incomplete"), field), told.is_null()) << event;
      }
    }
  }
  EXPECT_EQ(events, 4U);  // a start and a summary at each end
}
TEST(Udp, tells_two_sockets_apart_that_use_a_port_one_after_the_other) {
  expect_flows({"reused", "1"}, 2);
}

/// Questions and answers of one process, of which `malformed` were no DNS.
void expect_dns(const std::string& what, const std::string& transport, std::size_t asked, std::size_t answered,
                int malformed) {
  const auto watched = udp({what, "1"});
  const json& truth = watched.truth("dns");
  auto events = watched.stream.of("dns_query");
  const auto answers = watched.stream.of("dns_answer");
  ASSERT_EQ(events.size(), asked);
  ASSERT_EQ(answers.size(), answered);
  events.insert(events.end(), answers.begin(), answers.end());
  for (const json& event : events) {
    EXPECT_EQ(at(event, "process.pid"), truth.at("pid"));
    EXPECT_EQ(at(event, "source.port"), truth.at("port"));
    EXPECT_EQ(at(event, "destination.port"), 53);
    EXPECT_EQ(at(event, "network.transport"), transport);
    EXPECT_EQ(at(event, "dns.question.name"), "www.example.org");
    EXPECT_EQ(at(event, "dns.question.type"), "A");
    EXPECT_EQ(at(event, "dns.id"), "4660");
  }
  for (const json& answer : answers) {
    EXPECT_EQ(at(answer, "dns.response_code"), "NOERROR");
    EXPECT_EQ(at(answer, "dns.resolved_ip"), json::array({"192.0.2.7"}));
    ASSERT_EQ(at(answer, "dns.answers").size(), 2U);
    EXPECT_EQ(at(answer, "dns.answers")[0].at("data"), "cdn.example.org");
  }
  const auto stopped = watched.stream.of("sensor_stopped");
  ASSERT_EQ(stopped.size(), 1U);
  EXPECT_EQ(at(stopped[0], "nightjar.stats.malformed_dns"), malformed);
}

TEST(Dns, tells_question_and_answer_of_the_process_that_asked) {
  expect_dns("dns", "udp", 2, 1, 1);
}
TEST(Dns, tells_what_is_asked_over_tcp_however_it_is_cut) {
  expect_dns("dns_tcp", "tcp", 3, 2, 1);
}

void expect_unix(const std::string& what) {
  const TempDir dir;
  const auto watched = udp({what, dir.path()});
  const json& truth = watched.truth("unix");
  const json& event = watched.only("unix_connect", truth.at("pid").get<std::int64_t>());
  EXPECT_EQ(at(event, "destination.address"), truth.at("path"));
  EXPECT_EQ(at(event, "nightjar.net.peer.pid"), truth.at("peer"));
  EXPECT_EQ(at(event, "nightjar.net.peer.uid"), std::to_string(truth.at("uid").get<int>()));
  EXPECT_EQ(at(event, "nightjar.net.type"), "SOCK_STREAM");
  EXPECT_EQ(at(event, "nightjar.net.netns"), watched.truth("netns").at("inode"));
}

TEST(Unix, tells_path_and_peer) {
  expect_unix("unix");
}
TEST(Unix, tells_a_name_of_the_abstract_namespace) {
  expect_unix("abstract");
}

}  // namespace
}  // namespace nightjar::test
