// SPDX-License-Identifier: Apache-2.0
// Output URIs, reading single values out of JSON, HTTP bodies and answers, safe paths.
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <sys/stat.h>

#include "output/http_body.hpp"
#include "output/json_walk.hpp"
#include "output/safe_path.hpp"
#include "output/spec.hpp"

namespace nightjar {
namespace {

TEST(OutputSpec, takes_uris_apart) {
  const auto file = OutputSpec::parse("file:/var/log/a%3Fb?rotate-size=10M&keep=3");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->scheme, "file");
  EXPECT_EQ(file->target, "/var/log/a?b");
  EXPECT_EQ(*file->bytes("rotate-size", 0), 10U << 20);
  EXPECT_EQ(*file->number("keep", 0), 3U);
  EXPECT_EQ(*file->seconds("rotate-every", 7), 7U);
  const auto kafka = OutputSpec::parse("kafka://a:9092,b:9092/topic?security.protocol=SSL");
  ASSERT_TRUE(kafka);
  EXPECT_EQ(kafka->text("security.protocol"), "SSL");
}

TEST(OutputSpec, refuses_by_name_what_it_does_not_know) {
  for (const auto* uri : {"", "nothing", "smoke:signals", "file:", "file:/x?colour=red", "file:/x?keep",
                          "unix:", "file:/x?keep=%zz", "syslog:?events", "kafka:"}) {
    const auto spec = OutputSpec::parse(uri);
    ASSERT_FALSE(spec) << uri;
    EXPECT_EQ(spec.error().code(), errc::invalid);
    EXPECT_NE(spec.error().what().find(uri), std::string::npos) << spec.error().what();
  }
  for (const auto* value : {"x", "-1", "10Q", "99999999999999999999", "1.5M"}) {
    const auto spec = OutputSpec::parse(std::string("file:/x?rotate-size=") + value);
    EXPECT_FALSE(spec->bytes("rotate-size", 0)) << value;
  }
}

TEST(OutputSpec, splits_hosts_from_ports) {
  EXPECT_EQ(parse_host_port("[::1]:99", "")->host, "::1");
  EXPECT_EQ(parse_host_port("log.example", "514")->port, "514");
  for (const auto* bad : {"", ":1", "host:", "host:x", "[::1", "[::1]9"}) EXPECT_FALSE(parse_host_port(bad, "")) << bad;
}

TEST(JsonWalk, finds_values_by_dotted_name) {
  constexpr std::string_view event =
      R"({"@timestamp":"t","event":{"id":"a-1","x":[1,{"id":2}]},"process":{"args":["{\"event\":{\"id\":\"evil\"}}"],"pid":7}})";
  EXPECT_EQ(json::find(event, "event.id"), "\"a-1\"");
  EXPECT_EQ(json::find(event, "process.pid"), "7");
  EXPECT_EQ(json::find(event, "event.x"), R"([1,{"id":2}])");
  EXPECT_EQ(json::find(event, "id"), "");
  EXPECT_EQ(json::unquoted(R"("a\n\"\\\u0001\u00e9")"), "a\n\"\\\x01\xc3\xa9");
}

TEST(JsonWalk, survives_every_cut) {
  const std::string event = R"({"a":{"b":[1,"\u0001\\",{"c":null}],"d":"x"},"e":{}})";
  const auto all = [](std::string_view, std::string_view) { return true; };
  EXPECT_TRUE(json::walk(event, all));
  for (std::size_t cut = 0; cut < event.size(); ++cut) EXPECT_FALSE(json::walk(event.substr(0, cut), all)) << cut;
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "{\"a\":";
  EXPECT_FALSE(json::walk(deep, all));
}

Batch two_events() {
  Batch batch;
  batch.add(Kind::exec, "{\"@timestamp\":\"2026-11-22T10:00:00.000000001Z\",\"event\":{\"id\":\"one\"}}\n");
  batch.add(Kind::exit, "{\"@timestamp\":\"2026-11-22T10:00:00.000000002Z\",\"event\":{\"id\":\"two\"}}\n");
  return batch;
}

TEST(HttpBody, of_bulk_names_each_event) {
  http::BodySettings settings;
  settings.form = http::Form::bulk;
  settings.index = "n";
  const std::string body = make_body(settings, two_events(), {1});
  EXPECT_EQ(body, "{\"create\":{\"_index\":\"n\",\"_id\":\"two\"}}\n" + std::string(two_events().line(1)));
}

TEST(HttpBody, of_otlp_has_times_and_ids) {
  http::BodySettings settings;
  settings.form = http::Form::otlp;
  settings.hostname = "h";
  const std::string body = make_body(settings, two_events(), {0, 1});
  EXPECT_NE(body.find("\"timeUnixNano\":\"1795341600000000001\""), std::string::npos) << body;
  EXPECT_NE(body.find(R"("key":"event.id","value":{"stringValue":"two"})"), std::string::npos) << body;
  EXPECT_TRUE(json::walk(body, [](std::string_view, std::string_view) { return true; }));
}

TEST(HttpAnswer, of_bulk_is_read_line_by_line) {
  using http::Fate;
  const auto answer = http::read_answer(
      http::Form::bulk, 200,
      R"({"took":1,"errors":true,"items":[{"create":{"_id":"a","status":201}},{"create":{"status":409,"error":{"type":"x"}}},
         {"create":{"status":429}},{"create":{"status":400,"error":{"reason":"\"status\":201"}}}]})",
      4);
  EXPECT_EQ(answer.fates, (std::vector<Fate>{Fate::delivered, Fate::delivered, Fate::again, Fate::refused}));
  // An answer that tells of fewer lines than were sent is no proof that they arrived.
  const auto short_answer = http::read_answer(http::Form::bulk, 200, R"({"errors":true,"items":[]})", 2);
  EXPECT_EQ(short_answer.fates, (std::vector<Fate>{Fate::again, Fate::again}));
  EXPECT_EQ(http::read_answer(http::Form::bulk, 200, "<html>", 1).fates.front(), Fate::again);
}

TEST(HttpAnswer, by_status) {
  using http::Fate;
  for (const auto& [status, fate] : {std::pair{204L, Fate::delivered},
                                     {503L, Fate::again},
                                     {429L, Fate::again},
                                     {401L, Fate::again},
                                     {400L, Fate::refused},
                                     {413L, Fate::refused}})
    EXPECT_EQ(http::read_answer(http::Form::ndjson, status, "", 1).fates.front(), fate) << status;
  const auto partial = http::read_answer(http::Form::otlp, 200, R"({"partialSuccess":{"rejectedLogRecords":"2"}})", 3);
  EXPECT_EQ(partial.fates, (std::vector<Fate>{Fate::refused, Fate::refused, Fate::delivered}));
}

class SafePath : public testing::Test {
 protected:
  SafePath() {
    char name[] = "/tmp/nightjar-path-XXXXXX";
    home_ = mkdtemp(name);
  }
  ~SafePath() override { std::filesystem::remove_all(home_); }
  std::string home_;
};

TEST_F(SafePath, follows_links_of_its_own_and_creates) {
  std::filesystem::create_directory(home_ + "/real");
  std::filesystem::create_directory_symlink("real", home_ + "/link");
  const auto place = find_safe_place(home_ + "/link/events");
  ASSERT_TRUE(place) << to_string(place.error());
  EXPECT_TRUE(open_safely(*place, O_WRONLY | O_CREAT, 0600));
  EXPECT_TRUE(std::filesystem::exists(home_ + "/real/events"));
}

TEST_F(SafePath, refuses_links_in_directories_that_others_can_write) {
  std::filesystem::create_directory(home_ + "/open");
  chmod((home_ + "/open").c_str(), 0777);
  std::filesystem::create_symlink("/etc/passwd", home_ + "/open/events");
  const auto place = find_safe_place(home_ + "/open/events");
  ASSERT_FALSE(place);
  EXPECT_EQ(place.error().code(), errc::denied);
}

TEST_F(SafePath, refuses_links_and_files_of_other_users) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to make another user's file";
  chmod(home_.c_str(), 01777);
  std::filesystem::create_symlink("/etc/passwd", home_ + "/link");
  ASSERT_EQ(lchown((home_ + "/link").c_str(), 65534, 65534), 0);
  EXPECT_FALSE(find_safe_place(home_ + "/link"));
  std::ofstream(home_ + "/file") << "x";
  ASSERT_EQ(chown((home_ + "/file").c_str(), 65534, 65534), 0);
  const auto place = find_safe_place(home_ + "/file");
  ASSERT_TRUE(place);
  EXPECT_FALSE(open_safely(*place, O_WRONLY | O_APPEND, 0600));
}

TEST_F(SafePath, ends_at_a_loop_of_links) {
  std::filesystem::create_symlink("b", home_ + "/a");
  std::filesystem::create_symlink("a", home_ + "/b");
  EXPECT_FALSE(find_safe_place(home_ + "/a"));
  EXPECT_FALSE(find_safe_place(home_ + "/a/events"));
}

TEST_F(SafePath, reads_settings_that_nobody_else_can_write) {
  std::ofstream(home_ + "/settings") << "a=b\n";
  EXPECT_EQ(*read_trusted_file(home_ + "/settings"), "a=b\n");
  chmod((home_ + "/settings").c_str(), 0666);
  EXPECT_FALSE(read_trusted_file(home_ + "/settings"));
}

}  // namespace
}  // namespace nightjar
