// SPDX-License-Identifier: Apache-2.0
#include "agent/filter.hpp"

#include <algorithm>
#include <charconv>

namespace nightjar {
namespace {

struct SubjectInfo {
  std::string_view name;
  std::array<std::string_view, 5> fields;
};

constexpr SubjectInfo subjects[] = {
    {"executable", {"process.executable"}},
    {"uid", {"process.user.id"}},
    {"login_uid", {"nightjar.login_uid"}},
    {"cgroup", {"nightjar.cgroup.path"}},
    {"container", {"container.id"}},
    {"path",
     {"file.path", "nightjar.file.old_path", "file.target_path", "nightjar.mount.source", "nightjar.mount.target"}},
    {"port", {"destination.port", "source.port"}},
};
static_assert(std::size(subjects) == subject_count);

bool in_ranges(std::span<const NumberRange> ranges, const std::string& text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return false;
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const NumberRange& range) { return value >= range.first && value <= range.last; });
}

bool matches(const Rule& rule, Kind kind, EventValues& event) {
  if (!rule.events.empty() && !rule.events.contains(kind)) return false;
  for (std::size_t i = 0; i < subject_count; ++i) {
    const auto& patterns = rule.patterns[i];
    const auto& ranges = rule.ranges[i];
    if (patterns.empty() && ranges.empty()) continue;
    const auto values = event.values(static_cast<Subject>(i));
    const bool any = std::any_of(values.begin(), values.end(), [&](const std::string& value) {
      return in_ranges(ranges, value) || std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
               return glob_matches(pattern, value);
             });
    });
    if (!any) return false;
  }
  return true;
}

}  // namespace

std::span<const std::string_view> fields_of(Subject subject) {
  const auto& fields = subjects[static_cast<std::size_t>(subject)].fields;
  const auto end = std::find(fields.begin(), fields.end(), std::string_view());
  return {fields.begin(), end};
}

std::string_view name_of(Subject subject) {
  return subjects[static_cast<std::size_t>(subject)].name;
}

bool watches_reads(const Rule& rule) {
  return rule.keep && !rule.patterns[static_cast<std::size_t>(Subject::path)].empty() &&
         (rule.events.empty() || rule.events.contains(Kind::open_read));
}

bool Filter::ignores(const Rule& rule, Kind kind) const {
  return kind == Kind::open_read && watches_reads && rule.keep &&
         rule.patterns[static_cast<std::size_t>(Subject::path)].empty();
}

Filter::Decision Filter::decide(Kind kind, EventValues& event) const {
  for (const Rule& rule : rules) {
    if (!ignores(rule, kind) && matches(rule, kind, event)) return {rule.keep, &rule};
  }
  return {keeps_other(kind), nullptr};
}

bool glob_matches(std::string_view pattern, std::string_view text) {
  // Where the last star stood, to let it take one byte more. At most two are open: the last * and the last **, since a
  // later ** can take whatever an earlier one could.
  struct Star {
    std::size_t pattern = std::string_view::npos, text = 0;
    bool directories = false;  // of **/ behind a slash: takes whole names, with their slashes
    [[nodiscard]] bool open() const { return pattern != std::string_view::npos; }
  } single, twice;
  std::size_t p = 0;
  std::size_t t = 0;
  while (t < text.size() || p < pattern.size()) {
    if (p < pattern.size()) {
      if (pattern[p] == '*') {
        const std::string_view rest = pattern.substr(p);
        const bool two = rest.starts_with("**");
        const bool directories = rest.starts_with("**/") && p > 0 && pattern[p - 1] == '/';
        p += directories ? 3 : two ? 2 : 1;
        (two ? twice : single) = {p, t, directories};
        if (two) single = {};
        continue;
      }
      if (t < text.size() && (pattern[p] == text[t] || (pattern[p] == '?' && text[t] != '/'))) {
        ++p;
        ++t;
        continue;
      }
    }
    if (single.open() && single.text < text.size() && text[single.text] != '/') {
      p = single.pattern;
      t = ++single.text;
    } else if (twice.open() && twice.text < text.size()) {
      const std::size_t slash = twice.directories ? text.find('/', twice.text) : twice.text;
      if (slash == std::string_view::npos) return false;
      p = twice.pattern;
      t = twice.text = slash + 1;
      single = {};
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace nightjar
