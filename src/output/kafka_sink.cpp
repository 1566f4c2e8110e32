// SPDX-License-Identifier: Apache-2.0
// kafka://HOST:PORT[,HOST:PORT]/TOPIC through librdkafka: an idempotent producer, keyed by host.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include <librdkafka/rdkafka.h>

#include "output/safe_path.hpp"
#include "output/shared_library.hpp"
#include "output/sink.hpp"

namespace nightjar {
namespace {

struct Api {
  NIGHTJAR_IMPORT(rd_kafka_conf_new);
  NIGHTJAR_IMPORT(rd_kafka_conf_destroy);
  NIGHTJAR_IMPORT(rd_kafka_conf_set);
  NIGHTJAR_IMPORT(rd_kafka_conf_set_opaque);
  NIGHTJAR_IMPORT(rd_kafka_conf_set_dr_msg_cb);
  NIGHTJAR_IMPORT(rd_kafka_conf_set_log_cb);
  NIGHTJAR_IMPORT(rd_kafka_new);
  NIGHTJAR_IMPORT(rd_kafka_destroy_flags);
  NIGHTJAR_IMPORT(rd_kafka_topic_new);
  NIGHTJAR_IMPORT(rd_kafka_topic_destroy);
  NIGHTJAR_IMPORT(rd_kafka_produce);
  NIGHTJAR_IMPORT(rd_kafka_last_error);
  NIGHTJAR_IMPORT(rd_kafka_err2str);
  NIGHTJAR_IMPORT(rd_kafka_poll);
  NIGHTJAR_IMPORT(rd_kafka_purge);
  NIGHTJAR_IMPORT(rd_kafka_fatal_error);
};

Result<Api> load_api() {
  const SharedLibrary library = NIGHTJAR_TRY(SharedLibrary::open("librdkafka.so.1", "librdkafka1"));
  Api api;
  NIGHTJAR_FIND(library, rd_kafka_conf_new);
  NIGHTJAR_FIND(library, rd_kafka_conf_destroy);
  NIGHTJAR_FIND(library, rd_kafka_conf_set);
  NIGHTJAR_FIND(library, rd_kafka_conf_set_opaque);
  NIGHTJAR_FIND(library, rd_kafka_conf_set_dr_msg_cb);
  NIGHTJAR_FIND(library, rd_kafka_conf_set_log_cb);
  NIGHTJAR_FIND(library, rd_kafka_new);
  NIGHTJAR_FIND(library, rd_kafka_destroy_flags);
  NIGHTJAR_FIND(library, rd_kafka_topic_new);
  NIGHTJAR_FIND(library, rd_kafka_topic_destroy);
  NIGHTJAR_FIND(library, rd_kafka_produce);
  NIGHTJAR_FIND(library, rd_kafka_last_error);
  NIGHTJAR_FIND(library, rd_kafka_err2str);
  NIGHTJAR_FIND(library, rd_kafka_poll);
  NIGHTJAR_FIND(library, rd_kafka_purge);
  NIGHTJAR_FIND(library, rd_kafka_fatal_error);
  return api;
}

struct Setting {
  std::string name, value;
};

/// What is not said otherwise. librdkafka retries by itself; what it gives up is tried again by the output.
const std::vector<Setting>& defaults() {
  static const std::vector<Setting> all{
      {"client.id", "nightjar"},        {"enable.idempotence", "true"},
      {"compression.codec", "zstd"},    {"linger.ms", "20"},
      {"message.timeout.ms", "15000"},  {"queue.buffering.max.kbytes", "16384"},
      {"message.max.bytes", "1000000"},
  };
  return all;
}

class KafkaSink : public Sink {
  using Clock = std::chrono::steady_clock;

 public:
  KafkaSink(Api api, std::string key) : api_(api), key_(std::move(key)) {}
  ~KafkaSink() override {
    if (topic_ != nullptr) api_.rd_kafka_topic_destroy(topic_);
    if (producer_ != nullptr) {
      api_.rd_kafka_purge(producer_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
      api_.rd_kafka_destroy_flags(producer_, 0);
    }
  }
  KafkaSink(const KafkaSink&) = delete;
  KafkaSink& operator=(const KafkaSink&) = delete;

  Result<> configure(const std::vector<Setting>& settings, const std::string& topic, const LogSink& log) {
    log_ = log;
    settings_ = settings;
    topic_name_ = topic;
    return start();
  }

  Delivery deliver(const Batch& batch, std::size_t from) override {
    Delivery delivery;
    if (producer_ == nullptr) {
      if (auto started = start(); !started) {
        delivery.trouble = std::move(started).error();
        return delivery;
      }
    }
    if (started_ == from && !states_.empty() && states_.size() == batch.lines.size() - from) {
      // The same lines again: those that were delivered already are not sent twice.
    } else {
      states_.assign(batch.lines.size() - from, State::unsent);
      started_ = from;
    }
    failure_.clear();
    const auto second = Clock::now() + std::chrono::seconds(1);
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (states_[i] != State::unsent) continue;
      if (!produce(batch.line(from + i), i, second)) break;
    }
    // All reports come within message.timeout.ms, which an end may not have: those purged come at once.
    for (bool purged = false; in_flight_ != 0;) {
      if (!purged && is_over(second)) {
        api_.rd_kafka_purge(producer_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        purged = true;
      }
      api_.rd_kafka_poll(producer_, 100);
    }

    if (is_over(second)) failure_ = "no broker took it before the end";

    std::size_t done = 0;
    for (; done < states_.size() && states_[done] != State::unsent; ++done) {
      if (states_[done] != State::refused) continue;
      ++delivery.refused[batch.lines[from + done].kind];
      delivery.reason = "too_large";
    }
    delivery.lines = done;
    if (done < states_.size()) {
      delivery.trouble = Error(errc::system, "kafka: " + failure_);
      restart_after_fatal();
      states_.erase(states_.begin(), states_.begin() + static_cast<std::ptrdiff_t>(done));
      started_ = from + done;
    } else {
      states_.clear();
    }
    return delivery;
  }

  void end_by(Clock::time_point deadline) override { deadline_ = deadline; }

  void idle() override {
    if (producer_ != nullptr) api_.rd_kafka_poll(producer_, 0);
  }

 private:
  enum class State : std::uint8_t { unsent, delivered, refused };

  Result<> start() {
    rd_kafka_conf_t* conf = api_.rd_kafka_conf_new();
    char why[512] = "";
    for (const Setting& setting : settings_) {
      if (api_.rd_kafka_conf_set(conf, setting.name.c_str(), setting.value.c_str(), why, sizeof why) ==
          RD_KAFKA_CONF_OK)
        continue;
      api_.rd_kafka_conf_destroy(conf);
      return Error(errc::invalid, "kafka: " + std::string(why));
    }
    api_.rd_kafka_conf_set_opaque(conf, this);
    api_.rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    api_.rd_kafka_conf_set_log_cb(conf, nullptr);  // the trouble is told once, by the output
    producer_ = api_.rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (producer_ == nullptr) {
      api_.rd_kafka_conf_destroy(conf);
      return Error(errc::invalid, "kafka: " + std::string(why));
    }
    topic_ = api_.rd_kafka_topic_new(producer_, topic_name_.c_str(), nullptr);
    if (topic_ == nullptr)
      return Error(errc::invalid,
                   "kafka: topic " + topic_name_ + ": " + api_.rd_kafka_err2str(api_.rd_kafka_last_error()));
    return {};
  }

  /// The end came, and this delivery had its second.
  [[nodiscard]] bool is_over(Clock::time_point second) const {
    return Clock::now() >= std::max(second, deadline_.load());
  }

  /// False: the rest is to be tried later.
  bool produce(std::string_view line, std::size_t index, Clock::time_point second) {
    if (line.ends_with('\n')) line.remove_suffix(1);
    // librdkafka takes const data for writable.
    void* payload = const_cast<char*>(line.data());  // NOLINT(cppcoreguidelines-pro-type-const-cast)
    for (;;) {
      const int result = api_.rd_kafka_produce(topic_, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, payload, line.size(),
                                               key_.data(), key_.size(), &states_[index]);
      if (result == 0) {
        ++in_flight_;
        return true;
      }
      const rd_kafka_resp_err_t error = api_.rd_kafka_last_error();
      if (error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        states_[index] = State::refused;
        return true;
      }
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL || in_flight_ == 0 || is_over(second)) {
        failure_ = api_.rd_kafka_err2str(error);
        return false;
      }
      api_.rd_kafka_poll(producer_, 100);
    }
  }

  static void on_report(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
    auto& sink = *static_cast<KafkaSink*>(opaque);
    auto& state = *static_cast<State*>(message->_private);
    --sink.in_flight_;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      state = State::delivered;
    } else if (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
      state = State::refused;
    } else {
      sink.failure_ = sink.api_.rd_kafka_err2str(message->err);
    }
  }

  /// An idempotent producer that met a fatal error never works again: another one does.
  void restart_after_fatal() {
    char why[256] = "";
    if (api_.rd_kafka_fatal_error(producer_, why, sizeof why) == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    failure_ = why;
    api_.rd_kafka_topic_destroy(std::exchange(topic_, nullptr));
    api_.rd_kafka_destroy_flags(std::exchange(producer_, nullptr), 0);
  }

  Api api_;
  std::string key_;
  LogSink log_;
  std::vector<Setting> settings_;
  std::string topic_name_;
  rd_kafka_t* producer_ = nullptr;
  rd_kafka_topic_t* topic_ = nullptr;
  std::vector<State> states_;  // of the lines from started_ on
  std::size_t started_ = 0;
  std::size_t in_flight_ = 0;
  std::atomic<Clock::time_point> deadline_{Clock::time_point::max()};
  std::string failure_;
};

/// Lines NAME=VALUE, as librdkafka's tools read them.
Result<> add_settings_file(const std::string& path, std::vector<Setting>& settings) {
  const std::string text = NIGHTJAR_TRY(read_trusted_file(path));
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.empty() || line[0] == '#') continue;
    const auto equals = line.find('=');
    if (equals == std::string::npos || equals == 0)
      return Error(errc::invalid, path + ":" + std::to_string(number) + ": expected NAME=VALUE");
    settings.push_back({line.substr(0, equals), line.substr(equals + 1)});
  }
  return {};
}

}  // namespace

SinkMaker open_kafka(const OutputSpec& spec, const SinkContext& context) {
  const auto slash = spec.target.rfind('/');
  const std::string_view target = spec.target;
  if (!target.starts_with("//") || slash <= 2 || slash + 1 == target.size())
    return Error(errc::invalid, "output " + spec.uri + ": expected kafka://HOST:PORT[,HOST:PORT]/TOPIC");
  std::vector<Setting> settings = defaults();
  settings.push_back({"bootstrap.servers", std::string(target.substr(2, slash - 2))});
  if (const std::string path = spec.text("settings-file"); !path.empty())
    NIGHTJAR_CHECK(add_settings_file(path, settings));
  for (const auto& [name, value] : spec.settings) {
    if (name.find('.') != std::string::npos) settings.push_back({name, value});
  }
  auto sink = std::make_unique<KafkaSink>(NIGHTJAR_TRY(load_api()), spec.text("key", context.hostname));
  if (auto ready = sink->configure(settings, std::string(target.substr(slash + 1)), context.log); !ready)
    return std::move(ready).error().in("output " + spec.uri);
  return sink;
}

}  // namespace nightjar
