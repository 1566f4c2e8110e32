// SPDX-License-Identifier: Apache-2.0
#include "libbpf_log.hpp"

#include <atomic>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <mutex>

namespace nightjar {
namespace {

thread_local LibbpfCapture* current = nullptr;
std::atomic<libbpf_print_fn_t> previous{nullptr};

int print(libbpf_print_level level, const char* format, va_list arguments) {
  LibbpfCapture* capture = current;
  if (capture == nullptr) {
    const libbpf_print_fn_t pass_on = previous.load();
    return pass_on != nullptr ? pass_on(level, format, arguments) : 0;
  }
  if (level == LIBBPF_DEBUG && !capture->wants_debug()) return 0;
  try {
    va_list copy;
    va_copy(copy, arguments);
    const int length = std::vsnprintf(nullptr, 0, format, copy);
    va_end(copy);
    if (length <= 0) return 0;
    std::string message(static_cast<std::size_t>(length), '\0');
    std::vsnprintf(message.data(), message.size() + 1, format, arguments);
    capture->add(level, message);
  } catch (...) {  // out of memory: a message is lost; C frames below must not be unwound
  }
  return 0;
}

void install() {
  static std::once_flag once;
  std::call_once(once, [] { previous = ::libbpf_set_print(print); });
}

constexpr std::string_view log_begin = "-- BEGIN PROG LOAD LOG --\n";
constexpr std::string_view log_end = "-- END PROG LOAD LOG --";

}  // namespace

LibbpfCapture::LibbpfCapture(const LogSink* sink, bool debug) : sink_(sink), outer_(current), debug_(debug) {
  install();
  if (sink_ == nullptr && outer_ != nullptr) {
    sink_ = outer_->sink_;
    debug_ = outer_->debug_;
  }
  current = this;
}

LibbpfCapture::~LibbpfCapture() {
  current = outer_;
}

void LibbpfCapture::add(libbpf_print_level level, std::string_view message) noexcept {
  constexpr std::string_view prefix = "libbpf: ";
  if (message.starts_with(prefix)) message.remove_prefix(prefix.size());
  try {
    if (level == LIBBPF_WARN) warnings_ += message;
    if (sink_ == nullptr || !*sink_) return;
    while (message.ends_with('\n')) message.remove_suffix(1);
    // A warning of libbpf's is not yet one of ours: the failure may be what a fallback is there for.
    (*sink_)(LogLevel::debug, message);
  } catch (...) {  // see print()
  }
}

std::string_view verifier_log(std::string_view warnings) {
  const std::size_t begin = warnings.rfind(log_begin);
  if (begin == std::string_view::npos) return {};
  std::string_view log = warnings.substr(begin + log_begin.size());
  log = log.substr(0, log.find(log_end));
  // Only "processed 0 insns ...": the verifier was not asked.
  if (log.starts_with("processed 0 insns")) return {};
  return log;
}

std::string_view blamed_program(std::string_view warnings) {
  constexpr std::string_view mark = "prog '";
  const std::size_t begin = warnings.rfind(mark);
  if (begin == std::string_view::npos) return {};
  const std::string_view rest = warnings.substr(begin + mark.size());
  const std::size_t end = rest.find('\'');
  return end == std::string_view::npos ? std::string_view() : rest.substr(0, end);
}

std::string_view first_warning(std::string_view warnings) {
  return warnings.substr(0, warnings.find('\n'));
}

}  // namespace nightjar
