// SPDX-License-Identifier: Apache-2.0
// What a function that can fail returns. No exception crosses the library's interface.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "nightjar/api.hpp"

namespace nightjar {

/// What the caller may do about an error. The text of an Error is for people; decide by this.
enum class errc : std::uint8_t {
  invalid,      ///< the caller's input is wrong: fix the call
  not_found,    ///< no such program, map, symbol, type or file
  unsupported,  ///< this kernel cannot do it: a fallback may
  denied,       ///< EPERM, EACCES, lockdown: tell the operator which privilege is missing
  rejected,     ///< the verifier refused a program; detail() holds its log
  corrupt,      ///< bytes from outside do not parse
  busy,         ///< try again
  system,       ///< any other errno
};

/// One failure: what the caller may do (code), the errno behind it (0: none), one sentence, an optional long
/// detail (a verifier log), and the failures that led to it.
class [[nodiscard]] NIGHTJAR_API Error {
 public:
  Error(errc code, std::string what, int sys = 0) : code_(code), sys_(sys), what_(std::move(what)) {}

  /// An error from errno: "WHAT: strerror". EPERM and EACCES become denied, ENOENT not_found,
  /// ENOSYS, EOPNOTSUPP and ENOTSUPP unsupported, EBUSY and EAGAIN busy, the rest system.
  static Error from_errno(std::string_view what, int sys = errno);

  /// Puts where it happened in front: "load probes.bpf.o: program on_exec: ...".
  [[nodiscard]] Error in(std::string_view where) &&;
  [[nodiscard]] Error with_detail(std::string detail) &&;
  [[nodiscard]] Error because(std::vector<Error> causes) &&;

  [[nodiscard]] errc code() const noexcept { return code_; }
  [[nodiscard]] int sys() const noexcept { return sys_; }
  [[nodiscard]] const std::string& what() const noexcept { return what_; }
  [[nodiscard]] const std::string& detail() const noexcept { return detail_; }
  [[nodiscard]] const std::vector<Error>& causes() const noexcept { return causes_; }

 private:
  errc code_;
  int sys_;
  std::string what_;
  std::string detail_;
  std::vector<Error> causes_;
};

/// The error and its causes, a line each, indented; of a verifier log only the last lines that say why, with
/// the number of lines left out.
NIGHTJAR_API std::string to_string(const Error& error);

/// The same with every detail in full.
NIGHTJAR_API std::string to_string_verbose(const Error& error);

NIGHTJAR_API std::string_view to_string(errc code);

/// A value or an Error. Ignoring one is a warning, and an error in this project's own builds.
template <class T = void>
class [[nodiscard]] Result : public tl::expected<T, Error> {
  using base = tl::expected<T, Error>;

 public:
  using base::base;
  Result(base&& other) : base(std::move(other)) {}
  Result(Error error) : base(tl::unexpect, std::move(error)) {}
};

/// auto fd = NIGHTJAR_TRY(open_map(path));   returns the error to the caller.
#define NIGHTJAR_TRY(expression)                  \
  __extension__({                                 \
    auto&& nightjar_result_ = (expression);       \
    if (!nightjar_result_) [[unlikely]]           \
      return std::move(nightjar_result_).error(); \
    *std::move(nightjar_result_);                 \
  })

/// The same for a Result<>, which has no value.
#define NIGHTJAR_CHECK(expression)                                              \
  do {                                                                          \
    if (auto&& nightjar_result_ = (expression); !nightjar_result_) [[unlikely]] \
      return std::move(nightjar_result_).error();                               \
  } while (false)

}  // namespace nightjar
