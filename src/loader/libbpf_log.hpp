// SPDX-License-Identifier: Apache-2.0
// libbpf's messages, caught.
#pragma once

#include <string>
#include <string_view>

#include <bpf/libbpf.h>

#include "nightjar/log.hpp"

namespace nightjar {

/// While one lives, what libbpf says on this thread is kept here (warnings) and given to the sink, not printed. They
/// nest. Every call into libbpf that can say something is made under one. libbpf has one print callback for the
/// process: ours passes on whatever is said on threads that hold no capture, so an embedder's own use of libbpf is
/// unchanged.
class LibbpfCapture {
 public:
  /// `debug`: whether the sink is given libbpf's messages of that level, of which a load has thousands.
  explicit LibbpfCapture(const LogSink* sink = nullptr, bool debug = true);
  ~LibbpfCapture();
  LibbpfCapture(const LibbpfCapture&) = delete;
  LibbpfCapture& operator=(const LibbpfCapture&) = delete;

  /// Everything at level warning since the last clear(), without the prefix "libbpf: ".
  [[nodiscard]] const std::string& warnings() const { return warnings_; }
  void clear() { warnings_.clear(); }
  [[nodiscard]] bool wants_debug() const { return debug_ && sink_ != nullptr && *sink_ != nullptr; }

  /// Called by the callback; never throws.
  void add(libbpf_print_level level, std::string_view message) noexcept;

 private:
  const LogSink* sink_;
  LibbpfCapture* outer_;
  bool debug_;
  std::string warnings_;
};

/// What the verifier said about a program, cut from libbpf's warnings. Empty: the verifier did not speak.
std::string_view verifier_log(std::string_view warnings);

/// The program that the last "prog 'NAME': " in the warnings is about; empty when there is none.
std::string_view blamed_program(std::string_view warnings);

/// The first line of the warnings.
std::string_view first_warning(std::string_view warnings);

}  // namespace nightjar
