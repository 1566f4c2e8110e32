// SPDX-License-Identifier: Apache-2.0
// Outputs that are not files, with real other ends: ids complete, each exactly once after deduplication.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <unistd.h>

#include <sys/socket.h>

#include "cli.hpp"
#include "collectors.hpp"

namespace nightjar::test {
namespace {

constexpr int execs = 211;

/// Runs so many programs, the same events going to `uri` and to a file.
std::string watch_storm(const TempDir& temp, const std::string& uri, int count = execs) {
  const std::string script = "i=0; while [ $i -lt " + std::to_string(count) + " ]; do /bin/true; i=$((i+1)); done";
  const auto outcome = nightjar(watch_arguments(
      {"--events", "exec", "--output", "file:" + (temp / "truth"), "--output", uri}, {"/bin/sh", "-c", script}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return outcome.err;
}

std::multiset<std::string> ids_of(const std::string& ndjson) {
  std::multiset<std::string> ids;
  std::istringstream in(ndjson);
  for (std::string line; std::getline(in, line);) {
    const json event = json::parse(line, nullptr, false);
    EXPECT_FALSE(event.is_discarded()) << line;
    ids.insert(text_at(event, "event.id"));
  }
  return ids;
}
std::set<std::string> unique(const std::multiset<std::string>& ids) {
  return {ids.begin(), ids.end()};
}

TEST(HttpOutput, delivers_all_to_a_collector_that_fails_every_third_request) {
  const TempDir temp;
  std::multiset<std::string> got;
  const HttpCollector collector([&](int number, const std::string&, const std::string& body) -> HttpCollector::Answer {
    if (number % 3 == 1) return {503, "not now"};  // the first one, too
    got.merge(ids_of(body));
    return {};
  });
  watch_storm(temp, "http://127.0.0.1:" + std::to_string(collector.port()) + "/events");
  const auto truth = ids_of(read_file(temp / "truth"));
  EXPECT_GE(truth.size(), static_cast<std::size_t>(execs));
  EXPECT_EQ(got, truth);
  EXPECT_GE(collector.requests(), 2);
}

TEST(HttpOutput, speaks_bulk_and_repeats_only_what_was_not_taken) {
  const TempDir temp;
  std::map<std::string, int> stored;
  bool throttled = false;
  const HttpCollector collector([&](int, const std::string& request, const std::string& body) -> HttpCollector::Answer {
    EXPECT_EQ(request, "POST /logs/_bulk HTTP/1.1");
    std::istringstream in(body);
    std::string items;
    int line = 0;
    for (std::string action, event; std::getline(in, action) && std::getline(in, event); ++line) {
      const std::string id = json::parse(action)["create"]["_id"];
      EXPECT_EQ(text_at(json::parse(event), "event.id"), id);
      const bool busy = !throttled && line % 3 == 2;
      if (!busy) ++stored[id];
      items += std::string(items.empty() ? "" : ",") + R"({"create":{"status":)" + (busy ? "429" : "201") + "}}";
    }
    throttled |= line > 2;
    return {200, R"({"errors":true,"items":[)" + items + "]}"};
  });
  watch_storm(temp, "http://127.0.0.1:" + std::to_string(collector.port()) + "/logs/_bulk");
  const auto truth = unique(ids_of(read_file(temp / "truth")));
  EXPECT_EQ(stored.size(), truth.size());
  for (const auto& [id, times] : stored) EXPECT_EQ(times, 1) << id;
}

TEST(HttpOutput, speaks_otlp) {
  const TempDir temp;
  std::multiset<std::string> got;
  const HttpCollector collector([&](int, const std::string& request, const std::string& body) -> HttpCollector::Answer {
    EXPECT_EQ(request, "POST /v1/logs HTTP/1.1");
    const json request_body = json::parse(body);
    for (const json& record : request_body["resourceLogs"][0]["scopeLogs"][0]["logRecords"]) {
      const json event = json::parse(std::string(record["body"]["stringValue"]));
      got.insert(text_at(event, "event.id"));
      EXPECT_EQ(std::to_string(nanoseconds(text_at(event, "@timestamp"))), record["timeUnixNano"]);
    }
    return {200, "{}"};
  });
  watch_storm(temp, "otlp+http://127.0.0.1:" + std::to_string(collector.port()));
  EXPECT_EQ(got, ids_of(read_file(temp / "truth")));
}

// Nobody listens: the sensor is not held up, and what is lost is said.
TEST(HttpOutput, that_is_unreachable_holds_nothing_up) {
  const TempDir temp;
  const std::string err = watch_storm(temp, "http://127.0.0.1:1/x?drain=0", 11);
  EXPECT_NE(err.find("were not delivered: lost"), std::string::npos) << err;
}

// What an output cannot take stays in its spool, also beyond the end, and the next agent delivers it.
TEST(Spool, keeps_what_cannot_be_delivered_for_the_next_start) {
  const TempDir temp;
  const std::string spool = "?drain=0&spool=" + (temp / "spool");
  const std::string err = watch_storm(temp, "http://127.0.0.1:1/x" + spool, 53);
  EXPECT_NE(err.find("wait in the spool"), std::string::npos) << err;
  auto truth = ids_of(read_file(temp / "truth"));
  std::multiset<std::string> got;
  const HttpCollector collector([&](int, const std::string&, const std::string& body) -> HttpCollector::Answer {
    got.merge(ids_of(body));
    return {};
  });
  watch_storm(temp, "http://127.0.0.1:" + std::to_string(collector.port()) + "/x?spool=" + (temp / "spool"), 7);
  EXPECT_EQ(got, ids_of(read_file(temp / "truth")));  // the file has both streams
  EXPECT_GT(got.size(), truth.size());
}

TEST(Spool, survives_sigkill) {
  const TempDir temp;
  {
    Agent agent(
        {.arguments = watch_arguments(
             {"--events", "exec", "--output", "-", "--output", "http://127.0.0.1:1/x?spool=" + (temp / "spool")},
             {"/bin/sh", "-c", "i=0; while [ $i -lt 31 ]; do /bin/true; i=$((i+1)); done; /bin/echo; sleep 60"})});
    ASSERT_TRUE(agent.wait_for_output("/bin/sleep", patience(30)) || agent.wait_for_output("sleep", patience(5)));
    // The two outputs have a thread each: what one has written may still be with the other.
    const auto is_spooled = [&] {
      for (const auto& file : std::filesystem::recursive_directory_iterator(temp / "spool")) {
        if (file.is_regular_file() && read_file(file.path().string()).find("\"sleep\"") != std::string::npos)
          return true;
      }
      return false;
    };
    for (int i = 0; i < 500 && !is_spooled(); ++i) ::usleep(10000);
    ASSERT_TRUE(is_spooled());
    agent.send_signal(SIGKILL);
  }
  int trues = 0;
  const HttpCollector collector([&](int, const std::string&, const std::string& body) -> HttpCollector::Answer {
    std::istringstream in(body);
    for (std::string line; std::getline(in, line);) trues += text_at(json::parse(line), "process.name") == "true";
    return {};
  });
  watch_storm(temp, "http://127.0.0.1:" + std::to_string(collector.port()) + "/x?spool=" + (temp / "spool"), 2);
  EXPECT_EQ(trues, 33);
}

TEST(SyslogOutput, sends_rfc_5424_to_the_local_daemon_and_over_udp) {
  const TempDir temp;
  DatagramReader local(temp / "log");
  DatagramReader udp("");
  watch_storm(temp, "syslog:" + (temp / "log") + "?facility=local3", 17);
  watch_storm(temp, "syslog:udp://127.0.0.1:" + std::to_string(udp.port()), 17);
  ::usleep(200000);
  std::multiset<std::string> got;
  for (auto messages : {local.messages(), udp.messages()}) {
    for (const std::string& message : messages) {
      const auto body = message.find("] {");
      ASSERT_NE(body, std::string::npos) << message;
      std::istringstream head(message.substr(0, body));
      std::string priority, stamp, host, app, pid, id, data;
      head >> priority >> stamp >> host >> app >> pid >> id >> data;
      EXPECT_TRUE(priority.starts_with("<") && priority.ends_with(">1")) << priority;
      EXPECT_EQ(stamp.size(), std::string("2026-11-22T10:00:00.123456Z").size()) << stamp;
      EXPECT_EQ(app, "nightjar");
      EXPECT_EQ(data, "[meta");
      const json event = json::parse(message.substr(body + 2));
      EXPECT_EQ(action_of(event), id);
      got.insert(text_at(event, "event.id"));
    }
  }
  EXPECT_EQ(local.messages().front().substr(0, 7), "<158>1 ");  // local3.info
  EXPECT_EQ(got, ids_of(read_file(temp / "truth")));
}

/// Fields of an entry in journald's native protocol.
std::map<std::string, std::string> journal_entry(const std::string& bytes) {
  std::map<std::string, std::string> fields;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto end = bytes.find('\n', at);
    if (end == std::string::npos) break;
    const std::string line = bytes.substr(at, end - at);
    const auto equals = line.find('=');
    at = end + 1;
    if (equals != std::string::npos) {
      fields[line.substr(0, equals)] = line.substr(equals + 1);
      continue;
    }
    std::uint64_t size = 0;
    for (unsigned i = 0; i < 8; i++) size |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
    fields[line] = bytes.substr(at + 8, size);
    at += 8 + size + 1;
  }
  return fields;
}

TEST(JournaldOutput, sends_fields_and_large_entries_by_descriptor) {
  const TempDir temp;
  DatagramReader journal(temp / "socket");
  const std::string large(100 * 1024, 'x');
  const auto outcome = nightjar(watch_arguments(
      {"--events", "exec", "--output", "file:" + (temp / "truth"), "--output", "journald:" + (temp / "socket")},
      {"/bin/sh", "-c", "/bin/true 'two\nlines'; /bin/true " + large}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  ::usleep(200000);
  std::multiset<std::string> got;
  bool two_lines = false;
  bool whole = false;
  for (const std::string& bytes : journal.messages()) {
    auto fields = journal_entry(bytes);
    const json event = json::parse(fields["NIGHTJAR_EVENT"]);
    got.insert(fields["EVENT_ID"]);
    EXPECT_EQ(fields["EVENT_ID"], text_at(event, "event.id"));
    EXPECT_EQ(fields["PROCESS_PID"], std::to_string(at(event, "process.pid").get<long>()));
    EXPECT_EQ(fields["SYSLOG_IDENTIFIER"], "nightjar");
    EXPECT_EQ(fields["MESSAGE"].substr(0, fields["MESSAGE"].find(':')), action_of(event));
    two_lines |= fields["PROCESS_COMMAND_LINE"] == "/bin/true two\nlines";
    whole |= fields["PROCESS_COMMAND_LINE"] == "/bin/true " + large;
  }
  EXPECT_TRUE(two_lines);
  EXPECT_TRUE(whole);
  EXPECT_GT(journal.files(), 0);  // no datagram holds that
  EXPECT_EQ(got, ids_of(read_file(temp / "truth")));
}

std::string read_until_end(int fd) {
  std::string text;
  char bytes[65536];
  for (ssize_t n = 0; (n = ::read(fd, bytes, sizeof bytes)) > 0;) text.append(bytes, static_cast<std::size_t>(n));
  ::close(fd);
  return text;
}

TEST(UnixOutput, gives_two_clients_the_same_and_cuts_a_slow_one_off) {
  const TempDir temp;
  Agent agent({.arguments = watch_arguments(
                   {"--events", "exec", "--output", "file:" + (temp / "truth"), "--output",
                    "unix:" + (temp / "socket") + "?client-buffer=64K"},
                   {"/bin/sh", "-c", "read go; i=0; while [ $i -lt 997 ]; do /bin/true; i=$((i+1)); done"}),
               .input_from_caller = true});
  const int fast = connect_to(temp / "socket");
  const int slow = connect_to(temp / "socket");
  ASSERT_GE(fast, 0);
  ASSERT_GE(slow, 0);
  const int small = 4096;
  ::setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  ::usleep(1200000);
  std::string got;
  std::thread reader([&] { got = read_until_end(fast); });
  agent.send_input("go\n");
  const auto outcome = agent.finish();
  reader.join();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(got, read_file(temp / "truth"));
  EXPECT_NE(outcome.err.find("cut off a client"), std::string::npos) << outcome.err;
  const std::string part = read_until_end(slow);
  EXPECT_EQ(got.compare(0, part.size(), part), 0) << "the slow one got something else";
  bool told = false;
  const auto stream = parse_stream(got, {.losses = true, .whole_trees = false});
  for (const json& event : stream.of("events_lost")) told |= text_at(event, "nightjar.lost.reason") == "client_slow";
  EXPECT_TRUE(told);
  EXPECT_FALSE(std::filesystem::exists(temp / "socket"));
}

// A reader of standard output that stalls: the sensor goes on, and the reader gets everything in the end.
TEST(StdoutOutput, that_stalls_loses_nothing_within_its_queue) {
  Agent agent(
      {.arguments = watch_arguments({"--events", "exec"},
                                    {"/bin/sh", "-c", "i=0; while [ $i -lt 499 ]; do /bin/true; i=$((i+1)); done"})});
  ::usleep(3000000);  // the pipe holds 64 KiB, this is more
  const auto outcome = agent.finish();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto stream = parse_stream(outcome.out, {.whole_trees = false});
  for (const auto& problem : stream.problems) ADD_FAILURE() << problem;
  EXPECT_EQ(stream.of("exec").size(), 500U);
}

// Beyond its queue events are lost: over several seconds, while what tells of the first losses has no room either.
TEST(StdoutOutput, that_stalls_for_long_is_told_of_each_event_that_was_lost) {
  Agent agent(
      {.arguments = watch_arguments(
           {"--events", "exec", "--output", "-?queue=65536"},
           {"/bin/sh", "-c",
            "for part in 1 2 3; do i=0; while [ $i -lt 199 ]; do /bin/true; i=$((i+1)); done; /bin/sleep 1.2; done"})});
  ::usleep(in_vm() ? 20000000 : 7000000);
  const auto outcome = agent.finish();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto stream = parse_stream(outcome.out, {.losses = true, .whole_trees = false});
  for (const auto& problem : stream.problems) {
    // What is lost behind the numbers' giver leaves gaps.
    if (problem.find("event.sequence does not follow") == std::string::npos) ADD_FAILURE() << problem;
  }
  std::map<std::string, std::uint64_t> lost;
  for (const json& event : stream.of("events_lost")) {
    EXPECT_EQ(text_at(event, "nightjar.lost.reason"), "queue_full");
    lost[text_at(event, "nightjar.lost.class")] += at(event, "nightjar.lost.count").get<std::uint64_t>();
  }
  EXPECT_GT(lost["exec"], 0U) << "everything fitted: nothing was tested";
  EXPECT_EQ(stream.of("exec").size() + lost["exec"], 601U);
  EXPECT_EQ(lost.size(), 1U) << json(lost);
}

TEST(FileOutput, rotates_by_size_and_keeps_so_many) {
  const TempDir temp;
  const auto outcome = nightjar(
      watch_arguments({"--events", "exec", "--output", "file:" + (temp / "all"), "--output",
                       "file:" + (temp / "events") + "?rotate-size=20K", "--output",
                       "file:" + (temp / "few") + "?rotate-size=10K&keep=2"},
                      {"/bin/sh", "-c", "i=0; while [ $i -lt 97 ]; do /bin/true; sleep 0.01; i=$((i+1)); done"}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::map<std::string, std::string> parts;
  int few = 0;
  for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
    const std::string name = entry.path().filename();
    if (name.starts_with("events.")) parts[name] = read_file(entry.path());
    few += name.starts_with("few.");
  }
  EXPECT_GE(parts.size(), 2U);
  EXPECT_EQ(few, 2);
  std::string joined;
  for (const auto& [name, text] : parts) joined += text;
  EXPECT_EQ(joined + read_file(temp / "events"), read_file(temp / "all"));
}

TEST(FileOutput, compresses) {
  const TempDir temp;
  watch_storm(temp, "file:" + (temp / "events.zst") + "?compress=zstd", 97);
  watch_storm(temp, "file:" + (temp / "events.zst") + "?compress=zstd", 3);
  std::string joined;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
    if (entry.path().filename().string().starts_with("events.zst.")) names.push_back(entry.path());
  }
  ASSERT_EQ(names.size(), 1U);
  names.push_back(temp / "events.zst");
  for (const std::string& name : names) {
    const std::string plain = name + ".plain";
    ASSERT_EQ(std::system(("zstd -q -d -c '" + name + "' > '" + plain + "'").c_str()), 0);
    joined += read_file(plain);
  }
  EXPECT_EQ(joined, read_file(temp / "truth"));
}

// librdkafka's own broker in a process, over loopback.
class Kafka : public testing::Test {
 protected:
  Kafka() {
    char why[256];
    client_ = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof why);
    cluster_ = rd_kafka_mock_cluster_new(client_, 1);
    rd_kafka_mock_topic_create(cluster_, "events", 4, 1);
  }
  ~Kafka() override {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(client_);
  }
  /// Everything in the topic: the events, and the keys.
  std::multiset<std::string> consume(std::set<std::string>& keys) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char why[256];
    const std::pair<const char*, std::string> settings[] = {
        {"bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster_)},
        {"group.id", "test"},
        {"auto.offset.reset", "earliest"}};
    for (const auto& [name, value] : settings) rd_kafka_conf_set(conf, name, value.c_str(), why, sizeof why);
    rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    rd_kafka_topic_partition_list_t* topics = rd_kafka_topic_partition_list_new(4);
    for (int partition = 0; partition < 4; ++partition)
      rd_kafka_topic_partition_list_add(topics, "events", partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer, topics);
    std::string text;
    for (int empty = 0; empty < 8;) {
      rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer, 500);
      if (message == nullptr || message->err != 0) {
        ++empty;
      } else {
        text.append(static_cast<const char*>(message->payload), message->len) += '\n';
        keys.emplace(static_cast<const char*>(message->key), message->key_len);
      }
      if (message != nullptr) rd_kafka_message_destroy(message);
    }
    rd_kafka_topic_partition_list_destroy(topics);
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return ids_of(text);
  }
  [[nodiscard]] std::string uri() const {
    return "kafka://" + std::string(rd_kafka_mock_cluster_bootstraps(cluster_)) + "/events";
  }
  rd_kafka_t* client_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

TEST_F(Kafka, gets_every_event_once_with_the_host_as_key) {
  const TempDir temp;
  watch_storm(temp, uri() + "?drain=20");
  std::set<std::string> keys;
  EXPECT_EQ(consume(keys), ids_of(read_file(temp / "truth")));
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  EXPECT_EQ(keys, std::set<std::string>{host});
}

TEST_F(Kafka, gets_every_event_although_its_broker_was_away) {
  const TempDir temp;
  rd_kafka_mock_broker_set_down(cluster_, 1);
  std::thread later([&] {
    ::usleep(4000000);
    rd_kafka_mock_broker_set_up(cluster_, 1);
  });
  watch_storm(temp, uri() + "?drain=40&spool=" + (temp / "spool"));
  later.join();
  std::set<std::string> keys;
  EXPECT_EQ(unique(consume(keys)), unique(ids_of(read_file(temp / "truth"))));
}

// librdkafka keeps a message for as long as it is told, a minute here; the end does not wait for that.
TEST(KafkaOutput, that_is_unreachable_does_not_delay_the_end) {
  const TempDir temp;
  const auto start = std::chrono::steady_clock::now();
  const std::string err = watch_storm(temp, "kafka://127.0.0.1:1/t?drain=1&message.timeout.ms=60000", 11);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  EXPECT_NE(err.find("were not delivered: lost"), std::string::npos) << err;
}

TEST(KafkaOutput, refuses_settings_that_librdkafka_does_not_know) {
  const auto outcome = nightjar(watch_arguments({"--output", "kafka://127.0.0.1:1/t?no.such=1"}, {"/bin/true"}));
  expect_refusal(outcome, 2, "no.such");
}

}  // namespace
}  // namespace nightjar::test
