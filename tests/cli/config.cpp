// SPDX-License-Identifier: Apache-2.0
// The configuration file, from check to SIGHUP, and the commands that read files.
#include <fstream>

#include <signal.h>
#include <unistd.h>

#include <sys/stat.h>

#include "cli.hpp"

namespace nightjar::test {
namespace {

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text) { write(text); }
  void write(const std::string& text) const {
    // By renaming: the sensor never sees half of it.
    std::ofstream(path() + ".new") << text;
    ::chmod((path() + ".new").c_str(), 0644);
    ::rename((path() + ".new").c_str(), path().c_str());
  }
  [[nodiscard]] std::string path() const { return dir_ / "nightjar.yaml"; }

 private:
  TempDir dir_;
};

TEST(Config, check_names_the_place_and_the_nearest_key) {
  const ConfigFile wrong("format: ecs\nevnts: [exec]\n");
  const auto outcome = nightjar({"config", "check", wrong.path()});
  expect_refusal(outcome, 2, wrong.path() + ":2:1: ");
  EXPECT_NE(outcome.err.find("'events'"), std::string::npos) << outcome.err;
  const ConfigFile right("events: [exec]\nrules: [{id: a, uid: 0}]\n");
  EXPECT_EQ(nightjar({"config", "check", right.path()}).status, 0);
}

TEST(Config, a_file_that_others_can_write_is_refused) {
  const ConfigFile file("events: [exec]\n");
  ::chmod(file.path().c_str(), 0646);
  expect_refusal(nightjar({"config", "check", file.path()}), 2, "chmod");
  expect_refusal(nightjar(watch_arguments({"--config", file.path()}, {"/bin/true"})), 2, "chmod");
}

TEST(Config, what_show_writes_is_a_configuration) {
  const ConfigFile file(
      "events: [exec, fork]\nrules: [{id: 'a \"b\"', tags: [x], uid: [0, 5-7], executable: /bin/*}]\n");
  const auto shown = nightjar({"config", "show", file.path()});
  EXPECT_EQ(shown.status, 0) << shown.err;
  const ConfigFile again(shown.out);
  EXPECT_EQ(nightjar({"config", "show", again.path()}).out, shown.out);
}

TEST(Config, an_option_wins_over_the_file) {
  const ConfigFile file("events: [fork]\n");
  const auto outcome =
      nightjar(watch_arguments({"--config", file.path(), "--events", "exit"}, {"/bin/sh", "-c", "/bin/true; :"}));
  const auto stream = parse_stream(outcome.out, {.whole_trees = false});
  EXPECT_EQ(stream.of("fork").size(), 0U);
  EXPECT_EQ(stream.of("exit").size(), 2U) << outcome.err;
}

TEST(Rules, drop_count_and_tag) {
  const ConfigFile file(
      "rules:\n  - {id: quiet, action: drop, events: [exec], executable: '**/true'}\n"
      "  - {id: loud, tags: [a, b], events: [exec]}\n");
  const auto outcome = nightjar(
      watch_arguments({"--config", file.path()}, {"/bin/sh", "-c", "for i in 1 2 3 4 5 6 7; do /bin/true; done"}));
  const auto stream = parse_stream(outcome.out, {.whole_trees = false});
  const auto execs = stream.of("exec");
  ASSERT_EQ(execs.size(), 1U) << outcome.err;
  EXPECT_EQ(at(execs[0], "nightjar.rule.id"), "loud");
  EXPECT_EQ(at(execs[0], "nightjar.rule.tags"), json::array({"a", "b"}));
  EXPECT_EQ(stream.of("exit").size(), 8U);  // what is dropped is known all the same
  const auto held_back = stream.of("events_suppressed");
  ASSERT_EQ(held_back.size(), 1U);
  EXPECT_EQ(at(held_back[0], "nightjar.suppressed.count"), 7);
  EXPECT_EQ(at(held_back[0], "nightjar.suppressed.key"), "quiet");
}

TEST(Reload, takes_a_right_file_over_and_refuses_a_wrong_one) {
  const ConfigFile file("rules: [{id: first}]\n");
  Strings arguments{"run", "--config", file.path(), "--scope", "tree:" + std::to_string(::getpid())};
  for (const auto& option : tier_options()) arguments.push_back(option);
  Agent agent({.arguments = arguments});
  const auto until = [&](const std::string& rule) {
    for (int i = 0; i < 100; i++) {
      if (::system("/bin/true") != 0) return false;
      if (agent.wait_for_output("\"rule\":{\"id\":\"" + rule + "\"", std::chrono::milliseconds(100))) return true;
    }
    return false;
  };
  ASSERT_TRUE(agent.wait_for_output("sensor_started", patience(30)));
  EXPECT_TRUE(until("first"));
  file.write("ruls: []\n");
  agent.send_signal(SIGHUP);
  file.write("rules: [{id: second}]\n");
  ::usleep(300000);
  agent.send_signal(SIGHUP);
  EXPECT_TRUE(until("second"));
  agent.send_signal(SIGTERM);
  const auto outcome = agent.finish();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto stream = parse_stream(outcome.out, {.whole_trees = false});
  for (const auto& problem : stream.problems) ADD_FAILURE() << problem;  // no gap among them
}

TEST(Reload, a_wrong_file_changes_nothing_and_is_told) {
  const ConfigFile file("rules: [{id: first}]\n");
  Strings arguments{"run", "--config", file.path(), "--scope", "tree:" + std::to_string(::getpid()), "--duration", "4"};
  for (const auto& option : tier_options()) arguments.push_back(option);
  Agent agent({.arguments = arguments});
  ASSERT_TRUE(agent.wait_for_output("sensor_started", patience(30)));
  file.write("rules: [{id: second, prt: 5}]\n");
  agent.send_signal(SIGHUP);
  ::usleep(500000);
  EXPECT_EQ(::system("/bin/true"), 0);
  const auto outcome = agent.finish();
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.err.find(file.path() + ":1:22: "), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.out.find("\"id\":\"first\""), std::string::npos);
  EXPECT_EQ(outcome.out.find("\"id\":\"second\""), std::string::npos);
  EXPECT_NE(outcome.out.find("\"configuration_reloads_refused\":1"), std::string::npos);
}

TEST(Import_audit, writes_a_configuration_that_check_accepts) {
  const TempDir dir;
  std::ofstream(dir / "a.rules") << "-D\n-a always,exit -S execve -F auid>=1000 -F auid!=unset -k who\n-w nowhere\n";
  const auto outcome = nightjar({"import-audit", dir / "a.rules", "-o", dir / "made.yaml"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("a.rules:3"), std::string::npos) << outcome.err;
  EXPECT_EQ(nightjar({"config", "check", dir / "made.yaml"}).status, 0);
  EXPECT_EQ(nightjar({"import-audit", dir / "missing"}).status, 1);
}

TEST(Report, escapes_what_is_hostile_and_leaves_out_what_is_cut) {
  const TempDir dir;
  std::ofstream(dir / "e.ndjson")
      << R"({"event":{"action":"exec","sequence":1},"process":{"entity_id":"a","name":"</script><script>alert(1)</script>"}})"
      << "\n"
      << R"({"event":{"action":"exec","sequence":5},"process":{"entity_id":"<!--","name":"x"}})"
      << "\n"
      << R"({"event":{"action":"exec","sequence":6},"process":{"entity_id":"b","name":"x)" << "\xff\xfe" << "\"}}\n"
      << "{\"event\":{\"action\":\n"
      << std::string(100000, '[') << "\n\n7\n";
  const auto outcome = nightjar({"report", dir / "e.ndjson", "-o", dir / "r.html"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::string page = read_file(dir / "r.html");
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_EQ(page.find("<!--", page.find("id=\"data\"")), std::string::npos);
  const auto start = page.find('{', page.find("id=\"data\""));
  const json data = json::parse(page.substr(start, page.find("</script>", start) - start), nullptr, false);
  ASSERT_FALSE(data.is_discarded());
  EXPECT_EQ(at(data, "lost.gaps"), 3);
  EXPECT_EQ(at(data, "when").size() + at(data, "skipped").get<std::size_t>(), 6U);
  EXPECT_EQ(at(data, "texts")[0], "</script><script>alert(1)</script>");
  const auto line = page.find('{', page.find("class=\"events\""));
  const json event = json::parse(page.substr(line, page.find('\n', line) - line), nullptr, false);
  EXPECT_EQ(at(event, "process.name"), "</script><script>alert(1)</script>");
}

TEST(Top, tells_of_a_file_without_a_terminal) {
  const TempDir dir;
  std::ofstream(dir / "e.ndjson")
      << R"({"event":{"action":"exec","sequence":1},"process":{"entity_id":"a","pid":7,"name":")" << "n\\u001b[2J"
      << "\"}}\n";
  const auto outcome = nightjar({"top", dir / "e.ndjson"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("1 events"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace nightjar::test
