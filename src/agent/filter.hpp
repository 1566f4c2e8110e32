// SPDX-License-Identifier: Apache-2.0
// Rules that keep or drop events. The first rule that matches decides; what no rule matches is kept, unless the default
// says otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/events.hpp"

namespace nightjar {

/// What a rule asks of an event. An event without a value of that sort (a fork has no port) does not match.
enum class Subject : std::uint8_t { executable, uid, login_uid, cgroup, container, path, port, count_ };
inline constexpr std::size_t subject_count = static_cast<std::size_t>(Subject::count_);

/// The fields that hold a subject's values; the names of the output.
std::span<const std::string_view> fields_of(Subject subject);
std::string_view name_of(Subject subject);

/// From first to last, both included.
struct NumberRange {
  std::uint64_t first = 0, last = 0;
};

struct Rule {
  std::string id;
  bool keep = true;
  std::vector<std::string> tags;
  std::set<Kind> events;  ///< empty: all
  /// Patterns (`*` within a name, `**` across names, `?`), by subject; empty: any value.
  std::array<std::vector<std::string>, subject_count> patterns;
  /// The same for uid, login_uid and port.
  std::array<std::vector<NumberRange>, subject_count> ranges;
};

/// The values of one event, asked for only when a rule needs them.
class EventValues {
 public:
  virtual ~EventValues() = default;
  virtual std::span<const std::string> values(Subject subject) = 0;
};

struct Filter {
  std::vector<Rule> rules;
  bool keep_others = true;
  bool watches_reads = false;  ///< a rule keeps reads of certain paths: others are not reported

  struct Decision {
    bool keep;
    const Rule* rule;  ///< null: the default
  };
  [[nodiscard]] Decision decide(Kind kind, EventValues& event) const;
  /// What becomes of an event of this kind that no rule matches.
  [[nodiscard]] bool keeps_other(Kind kind) const { return keep_others && !(kind == Kind::open_read && watches_reads); }
  /// Once a rule names paths whose reads are to be seen, rules without paths keep no reads: there are too many.
  [[nodiscard]] bool ignores(const Rule& rule, Kind kind) const;
  [[nodiscard]] bool idle() const { return rules.empty() && keep_others; }
};

/// Whether a rule keeps reads of the paths that it names.
bool watches_reads(const Rule& rule);

/// Whether `text` is what the pattern describes, all of it. `*`: any bytes but slashes; `**`: any bytes; `?`: one byte
/// that is no slash; `**/` behind a slash: any directories, also none.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace nightjar
