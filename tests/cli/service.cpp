// SPDX-License-Identifier: Apache-2.0
// As a service: privileges given up, metrics, and what the service manager is told.
#include <filesystem>
#include <sstream>

#include <unistd.h>

#include <sys/socket.h>

#include "cli.hpp"
#include "collectors.hpp"

namespace nightjar::test {
namespace {

std::string status_field(const std::string& status, const std::string& name) {
  std::istringstream in(status);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name + ":")) return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  }
  return "";
}

TEST(Privileges, are_given_up_once_all_is_loaded_and_the_command_keeps_its_own) {
  const TempDir temp;
  const std::string own = status_field(read_file("/proc/self/status"), "CapEff");
  Agent agent({.arguments = watch_arguments(
                   {}, {"/bin/sh", "-c", "cat /proc/self/status > " + (temp / "command") + "; echo; sleep 30"})});
  ASSERT_TRUE(agent.wait_for_output("bin/sleep\"", patience(30)));
  const std::string status = read_file("/proc/" + std::to_string(agent.pid()) + "/status");
  EXPECT_EQ(status_field(status, "NoNewPrivs"), "1");
  EXPECT_EQ(status_field(status, "Seccomp"), "2");
  const auto capabilities = capability_names(status_field(status, "CapEff"));
  for (const auto* gone : {"CAP_SYS_MODULE", "CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_NET_ADMIN", "CAP_SYS_BOOT"})
    EXPECT_EQ(std::count(capabilities.begin(), capabilities.end(), gone), 0) << gone;
  EXPECT_EQ(status_field(status, "CapPrm"), status_field(status, "CapEff"));
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(agent.pid()) + "/task")) {
    const std::string of_thread = read_file(thread.path().string() + "/status");
    EXPECT_EQ(status_field(of_thread, "CapEff"), status_field(status, "CapEff"));
    EXPECT_EQ(status_field(of_thread, "Seccomp"), "2");
  }
  const std::string command = read_file(temp / "command");
  EXPECT_EQ(status_field(command, "CapEff"), own);
  EXPECT_EQ(status_field(command, "NoNewPrivs"), status_field(read_file("/proc/self/status"), "NoNewPrivs"));
}

void expect_openmetrics(const std::string& text) {
  EXPECT_TRUE(text.ends_with("\n# EOF\n")) << text;
  std::string family;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string first, second, third;
    words >> first >> second >> third;
    if (first == "#" && second == "TYPE") {
      family = third;
    } else if (first != "#") {
      EXPECT_TRUE(line.starts_with(family)) << line << " does not belong to " << family;
      EXPECT_NE(line.find_first_of("0123456789", line.rfind(' ')), std::string::npos) << line;
    }
  }
}

TEST(Metrics, are_a_file_that_is_replaced_as_a_whole) {
  const TempDir temp;
  const auto outcome = nightjar(watch_arguments({"--metrics", "file:" + (temp / "nightjar.prom")},
                                                {"/bin/sh", "-c", "/bin/true; /bin/true; /bin/true"}));
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::string text = read_file(temp / "nightjar.prom");
  expect_openmetrics(text);
  EXPECT_NE(text.find("nightjar_events_happened_total{event=\"exec\"} 4\n"), std::string::npos) << text;
  EXPECT_NE(text.find("nightjar_events_sent_total{event=\"exec\"} 4\n"), std::string::npos);
  EXPECT_NE(text.find("nightjar_events_lost_total{event=\"exec\"} 0\n"), std::string::npos);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(temp.path()), {}), 1) << "a temporary file is left";
}

TEST(Metrics, are_answered_at_a_unix_socket) {
  const TempDir temp;
  Agent agent({.arguments = watch_arguments({"--metrics", "unix:" + (temp / "metrics")}, {"/bin/sleep", "30"})});
  ASSERT_TRUE(agent.wait_for_output("\"action\":\"exec\"", patience(30)));
  ::usleep(1500000);
  const auto ask = [&](const std::string& request) {
    const int fd = connect_to(temp / "metrics");
    (void)!::write(fd, request.data(), request.size());
    std::string text;
    char bytes[4096];
    for (ssize_t n = 0; (n = ::read(fd, bytes, sizeof bytes)) > 0;) text.append(bytes, static_cast<std::size_t>(n));
    ::close(fd);
    return text;
  };
  const std::string answer = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  expect_openmetrics(answer.substr(answer.find("\r\n\r\n") + 4));
  EXPECT_TRUE(ask("POST /else HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
  const int silent = connect_to(temp / "metrics");  // does not hold the next one up for long
  EXPECT_TRUE(ask("GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
  ::close(silent);
}

TEST(Metrics, are_not_for_the_network) {
  for (const std::string uri : {"0.0.0.0:9464", "[::]:9464", "example.org:9464", "9464", "127.0.0.1:http"})
    expect_refusal(nightjar(watch_arguments({"--metrics", uri}, {"/bin/true"})), 2, uri);
}

TEST(Service, tells_its_manager_when_it_is_ready_alive_and_stopping) {
  const TempDir temp;
  DatagramReader manager(temp / "notify");
  Strings arguments{"run", "--scope",  "tree:" + std::to_string(::getpid()), "--duration",
                    "2",   "--output", "file:" + (temp / "events")};
  for (const auto& option : tier_options()) arguments.push_back(option);
  const auto outcome = run_agent(
      {.arguments = arguments, .environment = {"NOTIFY_SOCKET=" + (temp / "notify"), "WATCHDOG_USEC=3000000"}});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  ::usleep(200000);
  const auto messages = manager.messages();
  ASSERT_FALSE(messages.empty());
  EXPECT_EQ(messages.front(), "READY=1");
  EXPECT_EQ(messages.back(), "STOPPING=1");
  EXPECT_GE(std::count(messages.begin(), messages.end(), "WATCHDOG=1"), 2);
}

}  // namespace
}  // namespace nightjar::test
