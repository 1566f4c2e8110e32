// SPDX-License-Identifier: Apache-2.0
// The other ends of the outputs: what a collector, a syslog daemon, journald or a slow client would do.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace nightjar::test {

/// An HTTP server on a port of loopback, one request at a time.
class HttpCollector {
 public:
  struct Answer {
    int status = 200;
    std::string body;
  };
  /// `answer` gets the number of the request (from 1), its first line and its body.
  using Handler = std::function<Answer(int number, const std::string& request_line, const std::string& body)>;
  explicit HttpCollector(Handler handler);
  ~HttpCollector();
  HttpCollector(const HttpCollector&) = delete;
  HttpCollector& operator=(const HttpCollector&) = delete;
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] int requests() const { return requests_; }

 private:
  void serve();
  void answer_one(int client);
  Handler handler_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<int> requests_ = 0;
  std::thread thread_;
};

/// Reads datagrams at a unix socket's path, or from a UDP port when the path is empty; the contents of a file that came
/// with one stand for its text.
class DatagramReader {
 public:
  explicit DatagramReader(const std::string& path);
  ~DatagramReader();
  DatagramReader(const DatagramReader&) = delete;
  DatagramReader& operator=(const DatagramReader&) = delete;
  [[nodiscard]] int port() const { return port_; }
  /// What came so far.
  std::vector<std::string> messages();
  [[nodiscard]] int files() const { return files_; }

 private:
  void serve();
  int socket_ = -1, port_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<int> files_ = 0;
  std::mutex mutex_;
  std::vector<std::string> messages_;
  std::thread thread_;
};

/// Connected to a unix stream socket; -1 when nobody listens within five seconds.
int connect_to(const std::string& path);

}  // namespace nightjar::test
