// SPDX-License-Identifier: Apache-2.0
// Metrics for Prometheus, in the OpenMetrics text format: a file for node_exporter, or a listener.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "nightjar/result.hpp"
#include "nightjar/unique_fd.hpp"
#include "output/safe_path.hpp"

namespace nightjar {

/// Text under construction.
class MetricsText {
 public:
  enum class Type : std::uint8_t { counter, gauge, info };
  /// Begins a family; `name` without _total and the like.
  void family(std::string_view name, Type type, std::string_view help);
  /// A sample of it: `labels` is empty or `event="exec",...` made with label().
  void sample(double value, std::string_view labels = {});
  void sample(std::uint64_t value, std::string_view labels = {});
  static std::string label(std::string_view name, std::string_view value);
  [[nodiscard]] std::string finish() &&;

 private:
  void begin_sample(std::string_view labels);
  std::string text_;
  std::string name_;
};

/// Where they go.
class MetricsExporter {
 public:
  /// file:PATH, unix:PATH, or 127.0.0.1:PORT or [::1]:PORT. Refuses other addresses: whoever wants them from outside
  /// has a node_exporter or a proxy that asks who they are.
  static Result<std::unique_ptr<MetricsExporter>> open(const std::string& uri);
  /// Whether it is one of these, before anything is opened.
  static Result<> check(const std::string& uri);
  MetricsExporter(const MetricsExporter&) = delete;
  MetricsExporter& operator=(const MetricsExporter&) = delete;
  ~MetricsExporter();

  /// Begins to answer, when it listens.
  void start();
  /// What whoever asks gets from now on. A file is replaced as a whole.
  Result<> publish(std::string text);

 private:
  MetricsExporter() = default;
  void serve();
  void answer(int client);

  std::string uri_;
  SafePlace place_;  // of the file or the socket
  bool is_file_ = false;
  UniqueFd listener_;
  std::thread thread_;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::string text_;
};

}  // namespace nightjar
