// SPDX-License-Identifier: Apache-2.0
// TCP: what each end says of itself is what the events must say.
#include <cerrno>
#include <map>
#include <set>

#include "harness.hpp"

namespace nightjar::test {
namespace {

Watched tcp(const Strings& what, const Strings& events = {"--events", "network"}) {
  Strings arguments{"@LOG"};
  arguments.insert(arguments.end(), what.begin(), what.end());
  return watch("net_tcp", arguments, {.options = events, .expected = {.whole_trees = false}});
}

std::string unmapped(const std::string& ip) {
  constexpr std::string_view prefix = "::ffff:";
  return ip.starts_with(prefix) ? ip.substr(prefix.size()) : ip;
}

/// The event of a process about its end of the connection from a port; fails unless there is just one.
json of_end(const Watched& watched, std::string_view action, const json& pid, const json& port,
            const std::string& direction) {
  json found;
  int count = 0;
  for (const auto& event : watched.stream.of(action, pid.get<std::int64_t>())) {
    if (at(event, "source.port") != port || at(event, "network.direction") != direction) continue;
    found = event;
    count++;
  }
  EXPECT_EQ(count, 1) << action << " of " << pid << " from port " << port;
  return found;
}

/// What an end of a connection wrote about itself, held against its connect or accept, and its close.
void expect_end(const Watched& watched, const json& end, const json& opener, const json& closer) {
  const bool client = end.at("role") != "server";
  const std::string own = client ? "source" : "destination", other = client ? "destination" : "source";
  const std::string direction = client ? "egress" : "ingress";
  const json port = end.at(client ? "port" : "peer_port");
  for (const std::string action : {client ? "connect" : "accept", "close"}) {
    const json event = of_end(watched, action, action == "close" ? closer : opener, port, direction);
    EXPECT_EQ(at(event, own + ".port"), end.at("port")) << event;
    EXPECT_EQ(at(event, own + ".ip"), unmapped(end.at("ip"))) << event;
    EXPECT_EQ(at(event, other + ".ip"), unmapped(end.at("peer_ip"))) << event;
    EXPECT_EQ(at(event, other + ".port"), end.at("peer_port")) << event;
    EXPECT_EQ(at(event, "network.transport"), "tcp");
    EXPECT_EQ(at(event, "nightjar.net.netns"), watched.truth("netns").at("inode"));
    // An MPTCP program knows the cookie of its MPTCP socket; the connection has its own.
    const bool is_mptcp = has_element(at(event, "nightjar.net.flags"), "mptcp");
    if (!at(event, "nightjar.net.socket_cookie").is_null() && !is_mptcp) {
      EXPECT_EQ(at(event, "nightjar.net.socket_cookie"), end.at("cookie"));
    }
    EXPECT_EQ(text_at(event, "network.community_id").substr(0, 2), "1:");
    if (action != "close") continue;
    if (is_mptcp) {
      // What MPTCP sends again, because the other end was slow to acknowledge it, is new data to the subflow.
      EXPECT_GE(at(event, own + ".bytes"), end.at("sent")) << event;
      EXPECT_GE(at(event, other + ".bytes"), end.at("received")) << event;
    } else {
      EXPECT_EQ(at(event, own + ".bytes"), end.at("sent")) << event;
      EXPECT_EQ(at(event, other + ".bytes"), end.at("received")) << event;
    }
    EXPECT_GT(at(event, own + ".packets"), 0) << event;
    EXPECT_GT(at(event, other + ".packets"), 0) << event;
    EXPECT_GT(at(event, "nightjar.net.duration_ns"), 0) << event;
  }
}

void expect_exchange(const std::string& what, const std::string& type) {
  const auto watched = tcp({what});
  SKIP_IF_TOLD(watched);
  const auto ends = watched.truths("end");
  ASSERT_EQ(ends.size(), 2U);
  for (const auto& end : ends) expect_end(watched, end, end.at("pid"), end.at("pid"));
  ASSERT_EQ(watched.stream.of("connect").size(), 1U);
  ASSERT_EQ(watched.stream.of("accept").size(), 1U);
  ASSERT_EQ(watched.stream.of("close").size(), 2U);
  const json connect = watched.stream.of("connect")[0], accept = watched.stream.of("accept")[0];
  EXPECT_EQ(at(connect, "network.type"), type);
  EXPECT_EQ(at(connect, "event.outcome"), "success");
  EXPECT_EQ(at(connect, "nightjar.net.outcome"), "established");
  EXPECT_EQ(at(connect, "network.community_id"), at(accept, "network.community_id"));
  for (const auto& close : watched.stream.of("close")) EXPECT_EQ(at(close, "nightjar.net.outcome"), "closed");
  const json& coverage = at(watched.stream.events.front(), "nightjar.coverage");
  for (const char* action : {"bind", "listen"}) {
    if (std::string_view(action) == "bind" && text_at(at(coverage, "connect"), "tier") == "legacy") {
      EXPECT_EQ(text_at(at(coverage, action), "state"), "absent");
      continue;
    }
    const auto events = watched.stream.of(action);
    ASSERT_EQ(events.size(), 1U) << action;
    EXPECT_EQ(at(events[0], "source.ip"), watched.truth("listen").at("ip"));
    EXPECT_EQ(at(events[0], "process.pid"), watched.truth("listen").at("pid"));
    // Of a bind to port 0, the port that the kernel chose.
    EXPECT_EQ(at(events[0], "source.port"), watched.truth("listen").at("port"));
  }
}

TEST(Tcp, tells_an_exchange_over_ipv4) {
  expect_exchange("v4", "ipv4");
}
TEST(Tcp, tells_an_exchange_over_ipv6) {
  expect_exchange("v6", "ipv6");
}
TEST(Tcp, tells_a_mapped_address_as_ipv4) {
  expect_exchange("mapped", "ipv4");
}
TEST(Tcp, tells_a_connect_that_does_not_block) {
  expect_exchange("nonblocking", "ipv4");
}

// Below the system calls, on every tier.
TEST(Tcp, tells_a_connect_through_io_uring) {
  expect_exchange("io_uring", "ipv4");
}
TEST(Tcp, tells_a_connect_of_a_32_bit_program) {
  expect_exchange("32_bit", "ipv4");
}
TEST(Tcp, tells_an_mptcp_connection_once) {
  expect_exchange("mptcp", "ipv4");
}

void expect_failure(const std::string& what, const std::string& outcome, int error) {
  const auto watched = tcp({what});
  const json& failed = watched.truth("failed");
  std::vector<json> found;
  for (const auto& event : watched.stream.of("connect", failed.at("pid").get<std::int64_t>())) {
    const bool same_port = !failed.contains("local_port") || at(event, "source.port") == failed.at("local_port");
    if (same_port && at(event, "destination.port") == failed.at("port")) found.push_back(event);
  }
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(at(found[0], "event.outcome"), "failure");
  EXPECT_EQ(at(found[0], "nightjar.net.outcome"), outcome);
  EXPECT_EQ(at(found[0], "nightjar.net.errno"), error == 0 ? json() : json(error)) << found[0];
  if (error != 0) {
    EXPECT_EQ(failed.at("errno"), error);
  }
  EXPECT_TRUE(watched.stream.of("close", failed.at("pid").get<std::int64_t>()).size() <= 3);
}

TEST(Tcp, tells_a_refused_connect) {
  expect_failure("refused", "refused", ECONNREFUSED);
}
TEST(Tcp, tells_a_refused_connect_that_does_not_block) {
  expect_failure("refused_nonblocking", "refused", ECONNREFUSED);
}
TEST(Tcp, tells_a_connect_that_timed_out) {
  expect_failure("timed_out", "timed_out", ETIMEDOUT);
}
TEST(Tcp, tells_a_connect_that_was_given_up) {
  expect_failure("given_up", "aborted", 0);
}

TEST(Tcp, tells_both_ends_of_a_reset) {
  const auto watched = tcp({"reset"});
  const auto ends = watched.truths("end");
  ASSERT_EQ(ends.size(), 2U);
  for (const auto& end : ends) expect_end(watched, end, end.at("pid"), end.at("pid"));
  std::multiset<std::string> outcomes;
  for (const auto& event : watched.stream.of("close")) outcomes.insert(text_at(event, "nightjar.net.outcome"));
  EXPECT_EQ(outcomes, (std::multiset<std::string>{"aborted", "reset"}));
}

TEST(Tcp, names_the_worker_that_accepted) {
  const auto watched = tcp({"forked"});
  const auto ends = watched.truths("end");
  ASSERT_EQ(ends.size(), 42U);
  for (const auto& end : ends) expect_end(watched, end, end.at("pid"), end.at("pid"));
  EXPECT_EQ(watched.stream.of("accept").size(), 21U);
  EXPECT_EQ(watched.stream.of("close").size(), 42U);
}

void expect_passed(const std::string& what) {
  const auto watched = tcp({what});
  json giver, receiver;
  for (const auto& end : watched.truths("end")) (end.at("role") == "giver" ? giver : receiver) = end;
  expect_end(watched, receiver, giver.at("pid"), receiver.at("pid"));
}

TEST(Tcp, names_the_process_that_a_socket_was_passed_to) {
  expect_passed("passed");
}

TEST(Tcp, names_the_process_that_had_a_passed_socket_when_it_was_cut_off) {
  const auto tier =
      watch("net_tcp", {"@LOG", "v4"}, {.options = {"--events", "network"}, .expected = {.whole_trees = false}});
  const auto started = tier.stream.of("sensor_started");
  ASSERT_EQ(started.size(), 1U);
  if (at(started[0], "nightjar.coverage.close.state") == "degraded")
    GTEST_SKIP() << at(started[0], "nightjar.coverage.close.reason");
  expect_passed("passed_and_cut_off");
}

TEST(Tcp, loses_nothing_in_a_storm_of_connections) {
  const int count = scaled(10007, 211);
  const auto watched = tcp({"storm", std::to_string(count)});
  const auto truths = watched.truths("one");
  ASSERT_EQ(truths.size(), static_cast<std::size_t>(count));
  for (const char* action : {"connect", "accept"}) EXPECT_EQ(watched.stream.of(action).size(), truths.size()) << action;
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> expected, seen;
  for (const auto& one : truths) {
    for (const char* who : {"pid", "server"}) expected[{one.at(who), one.at("port")}] += one.at("sent").get<int>();
  }
  const auto closes = watched.stream.of("close");
  EXPECT_EQ(closes.size(), 2 * truths.size());
  for (const auto& close : closes) {
    seen[{at(close, "process.pid").get<std::int64_t>(), at(close, "source.port").get<std::int64_t>()}] +=
        at(close, "source.bytes").get<std::int64_t>();
  }
  std::string differences;  // thousands of entries agree
  for (const auto& [key, bytes] : expected) {
    const auto found = seen.find(key);
    if (found != seen.end() && found->second == bytes) continue;
    differences += " pid " + std::to_string(key.first) + " port " + std::to_string(key.second) + ": " +
                   std::to_string(bytes) + " bytes, told " +
                   (found == seen.end() ? "nothing" : std::to_string(found->second)) + ";";
  }
  EXPECT_EQ(differences, "");
  EXPECT_EQ(seen.size(), expected.size());
}

// One process may cause so many events of a kind: held back + sent + lost = happened, for each.
TEST(Tcp, counts_what_is_above_the_rate_limit) {
  const auto watched = tcp({"storm", "211"}, {"--events", "network", "--rate-limit", "7"});
  const auto stopped = watched.stream.of("sensor_stopped");
  ASSERT_EQ(stopped.size(), 1U);
  std::map<std::string, std::uint64_t> held_back;
  for (const auto& event : watched.stream.of("events_suppressed")) {
    const std::string key = text_at(event, "nightjar.suppressed.key");
    ASSERT_TRUE(key.starts_with("rate_limit:")) << event;
    held_back[key.substr(11, key.rfind(':') - 11)] += at(event, "nightjar.suppressed.count").get<std::uint64_t>();
  }
  for (const std::string action : {"connect", "accept", "close"}) {
    const std::uint64_t happened = action == "close" ? 422 : 211;
    const std::uint64_t sent = watched.stream.of(action).size();
    EXPECT_EQ(at(stopped[0], "nightjar.stats.events." + action + ".happened"), happened) << action;
    EXPECT_EQ(sent + held_back[action], happened) << action;
    EXPECT_GT(sent, 6U) << action;
    EXPECT_GT(held_back[action], 0U) << action;
  }
}

}  // namespace
}  // namespace nightjar::test
