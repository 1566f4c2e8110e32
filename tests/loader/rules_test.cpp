// SPDX-License-Identifier: Apache-2.0
// Path rules: what the kernel finds in the compiled tables, against a matcher that follows the definition of a glob.
// The seed's rows F3, F4 and F24 are here.
#include <array>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "agent/glob_automaton.hpp"
#include "support.hpp"

namespace nightjar::test {
namespace {

/// The definition: `*` any bytes but slashes, `**` any bytes, `?` one byte but a slash, `**/` behind a slash any
/// directories, also none.
bool defined_as(std::string_view glob, std::string_view text, char before = 0) {
  if (glob.empty()) return text.empty();
  if (glob.starts_with("**")) {
    const bool directories = before == '/' && glob.starts_with("**/");
    const std::string_view rest = glob.substr(directories ? 3 : 2);
    for (std::size_t taken = 0; taken <= text.size(); ++taken) {
      if (directories && taken > 0 && text[taken - 1] != '/') continue;
      if (defined_as(rest, text.substr(taken), directories ? '/' : '*')) return true;
    }
    return false;
  }
  if (glob[0] == '*') {
    for (std::size_t taken = 0;; ++taken) {
      if (defined_as(glob.substr(1), text.substr(taken), '*')) return true;
      if (taken == text.size() || text[taken] == '/') return false;
    }
  }
  if (text.empty() || (glob[0] == '?' ? text[0] == '/' : text[0] != glob[0])) return false;
  return defined_as(glob.substr(1), text.substr(1), glob[0]);
}

/// As bpf/path.bpf.h leaves a path: its names from leaf to root, each with a NUL behind it.
std::string leaf_first(std::string_view path) {
  std::string reversed;
  while (!path.empty()) {
    const auto slash = path.rfind('/');
    reversed += path.substr(slash + 1);
    reversed += '\0';
    path = path.substr(0, slash);
  }
  return reversed;
}

constexpr std::size_t question_bytes = 4096;
struct Question {
  std::uint32_t kind, length, is_reversed, verdict;
  char text[question_bytes];
};

/// The matcher in the kernel, with rules in force.
class KernelMatcher {
 public:
  explicit KernelMatcher(const RuleTables& tables) {
    const std::string path = object_path().substr(0, object_path().rfind('/')) + "/rules_test.bpf.o";
    object_.reset(bpf_object__open_file(path.c_str(), nullptr));
    if (!object_) return;
    const std::pair<const char*, std::size_t> rows[] = {{"path_rule_states", tables.states.size()},
                                                        {"path_rule_edges", tables.edges.size()},
                                                        {"path_rule_verdicts", tables.verdicts.size()}};
    for (const auto& [name, count] : rows) bpf_map__set_max_entries(map(name), static_cast<std::uint32_t>(count));
    if (bpf_object__load(object_.get()) != 0) {
      object_.reset();
      return;
    }
    put("path_rule_states", tables.states);
    put("path_rule_edges", tables.edges);
    put("path_rule_verdicts", tables.verdicts);
    put("path_rule_sets", std::vector{tables.set});
    put("path_rules_now", std::vector{std::uint32_t{1}});
    program_ = bpf_program__fd(bpf_object__find_program_by_name(object_.get(), "ask_rules"));
    questions_ = bpf_map__fd(map("questions"));
  }
  [[nodiscard]] bool loaded() const { return object_ != nullptr; }

  std::uint16_t verdict(std::string_view text, unsigned kind, bool is_path = true) {
    const std::string bytes = is_path ? leaf_first(text) : std::string(text) + '\0';
    question_.kind = WIRE_FILE_CREATE + kind;
    question_.length = static_cast<std::uint32_t>(bytes.size());
    question_.is_reversed = is_path ? 1 : 0;
    question_.verdict = WIRE_VERDICT_UNSURE;
    std::memcpy(question_.text, bytes.data(), bytes.size());
    const std::uint32_t zero = 0;
    EXPECT_EQ(bpf_map_update_elem(questions_, &zero, &question_, BPF_ANY), 0);
    bpf_test_run_opts run{};
    run.sz = sizeof run;
    EXPECT_EQ(bpf_prog_test_run_opts(program_, &run), 0);
    EXPECT_EQ(run.retval, 1U);
    EXPECT_EQ(bpf_map_lookup_elem(questions_, &zero, &question_), 0);
    return static_cast<std::uint16_t>(question_.verdict);
  }

 private:
  bpf_map* map(const char* name) { return bpf_object__find_map_by_name(object_.get(), name); }
  template <class Row>
  void put(const char* name, const std::vector<Row>& rows) {
    for (std::uint32_t i = 0; i < rows.size(); ++i)
      ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(map(name)), &i, &rows[i], BPF_ANY), 0);
  }

  std::unique_ptr<bpf_object, decltype(&bpf_object__close)> object_{nullptr, bpf_object__close};
  int program_ = -1, questions_ = -1;
  Question question_{};
};

std::vector<VerdictGlob> numbered(const std::vector<std::string>& globs) {
  std::vector<VerdictGlob> rules;
  for (std::size_t i = 0; i < globs.size(); ++i)
    rules.push_back({globs[i], static_cast<std::uint16_t>((i + 1) << 1 | i % 2), 0xffff});
  return rules;
}

std::uint16_t first_match(const std::vector<VerdictGlob>& rules, std::string_view path) {
  std::uint16_t least = WIRE_VERDICT_NONE;
  for (const VerdictGlob& rule : rules) {
    if (rule.verdict < least && defined_as(rule.glob, path)) least = rule.verdict;
  }
  return least;
}

/// Trees with few names, so that globs and paths meet; names of one byte to 255.
class Generator {
 public:
  explicit Generator(std::uint32_t seed) : random_(seed) {}

  std::string path() {
    std::string path;
    for (unsigned depth = 2 + below(6); depth > 0; --depth) path += "/" + name();
    return path;
  }
  std::string glob() {
    const unsigned kind = below(10);
    std::string made = path();
    if (kind < 3) return made;  // one file
    if (kind < 5) return made.substr(0, made.rfind('/')) + "/**";
    if (kind == 5) return "**/" + name();
    if (kind == 6) return made + "/*." + suffix();
    if (kind == 7) return made.substr(0, made.rfind('/')) + "/**/" + name();
    for (unsigned changes = 1 + below(2); changes > 0; --changes) {
      const std::size_t at = 1 + below(static_cast<unsigned>(made.size() - 1));
      if (made[at] != '/') made.replace(at, 1, below(2) == 0 ? "?" : "*");
    }
    return made;
  }
  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

 private:
  std::string suffix() { return std::array{"c", "so", "conf", "log"}.at(below(4)); }
  std::string name() {
    static const char* const common[] = {"etc", "usr", "lib", "home", "ssh", "a", "b", "ab", "x", "tmp"};
    const unsigned kind = below(20);
    if (kind < 12) return common[below(10)];
    if (kind < 17) return std::string(common[below(10)]) + std::to_string(below(7)) + "." + suffix();
    if (kind == 17) return std::string(1 + below(255), static_cast<char>('a' + below(3)));
    if (kind == 18) return "\xff\xfe" + std::to_string(below(3));
    return std::to_string(below(1000));
  }
  std::mt19937 random_;
};

void expect_equal(const std::vector<std::string>& globs, const std::vector<std::string>& paths) {
  const auto rules = numbered(globs);
  const RuleTables tables = compile_globs(rules);
  EXPECT_TRUE(tables.inexact.empty()) << tables.inexact.front();
  KernelMatcher kernel(tables);
  ASSERT_TRUE(kernel.loaded());
  for (const std::string& path : paths) {
    const auto expected = first_match(rules, path);
    ASSERT_EQ(walk_tables(tables, path, 0), expected) << path;
    ASSERT_EQ(kernel.verdict(path, 3), expected) << path;
    if (paths.size() < 100) {
      ASSERT_EQ(kernel.verdict(path, 3, false), expected) << path;
    }
  }
}

bool in_guest() {
  return std::getenv("NIGHTJAR_TEST_SCALE") != nullptr;  // emulated, slow
}

TEST(PathRules, follow_the_definition_of_a_glob) {
  expect_equal({"/etc/*/x", "/etc/ssh/y", "/a/**/b", "/**/c.d", "/home/**", "/e?g/*", "/l**t", "**/z", "/", "/q/***/r"},
               {"/etc/ssh/x", "/etc/ssh/y", "/etc/ssl/x", "/etc/x",  "/a/b",     "/a/c/b",   "/a/c/d/b", "/a/cb",
                "/ab",        "/c.d",       "/q/c.d",     "/q/xc.d", "/home",    "/home/",   "/home/u",  "/home/u/v/w",
                "/egg/x",     "/e/g/x",     "/egg/x/y",   "/lt",     "/lost",    "/l/o/s/t", "/z",       "/y/z",
                "/yz",        "/",          "/q/r",       "/q/s/r",  "/q/s/t/r", "/q//r"});
}

TEST(PathRules, tell_long_names_from_short_ones_before_them) {
  const std::string name(255, 'n');
  expect_equal({"/d/" + name, "/d/n", "/" + name.substr(1) + "/**"},
               {"/d/" + name, "/d/n", "/d/" + name.substr(1), "/d/n", "/" + name.substr(1) + "/x", "/d/" + name + "n"});
}

TEST(PathRules, keep_kinds_of_events_apart) {
  const std::vector<VerdictGlob> rules = {{"/a/**", 2, 1 << 3}, {"/a/b", 5, 0xffff}, {"/a/**", 6, 1 << 4}};
  const RuleTables tables = compile_globs(rules);
  KernelMatcher kernel(tables);
  ASSERT_TRUE(kernel.loaded());
  const std::array<std::uint16_t, 3> expected[] = {{2, 5, 5}, {2, 6, WIRE_VERDICT_NONE}};
  for (unsigned kind = 3; kind < 6; ++kind) {
    EXPECT_EQ(kernel.verdict("/a/b", kind), expected[0].at(kind - 3)) << kind;
    EXPECT_EQ(kernel.verdict("/a/c", kind), expected[1].at(kind - 3)) << kind;
  }
}

TEST(PathRules, are_walked_to_the_end_of_the_longest_path) {
  std::string path;
  while (path.size() + 200 < question_bytes) path += "/" + std::string(150, 'p');
  expect_equal({"**/q", "/p*/**/r", "**p"}, {path, path + "/q", path + "/r"});
}

/// Globs whose automaton would have 2^24 states: such a one keeps more, or drops nothing.
TEST(PathRules, never_drop_what_an_intricate_rule_keeps) {
  const std::string intricate = "/k/**a" + std::string(24, '?');
  const RuleTables tables = compile_globs({{intricate, 2, 0xffff}, {intricate + "b", 5, 0xffff}, {"/k/**", 7, 0xffff}});
  EXPECT_EQ(tables.inexact.size(), 2U);
  EXPECT_EQ(walk_tables(tables, "/k/x", 0), 2);
  EXPECT_EQ(walk_tables(tables, "/l/x", 0), WIRE_VERDICT_NONE);
}

/// And, for some, backwards: not only the first but the last glob that matches.
TEST(PathRules, equal_the_definition_for_4096_globs_and_100003_paths) {
  Generator generator(2026);
  std::vector<std::string> globs;
  for (unsigned i = 0; i < (in_guest() ? 509U : 4096U); ++i) globs.push_back(generator.glob());
  std::vector<std::string> paths;
  for (unsigned i = 0; i < (in_guest() ? 4999U : 100003U); ++i) paths.push_back(generator.path());
  expect_equal(globs, paths);
  std::reverse(globs.begin(), globs.end());
  paths.resize(paths.size() / 10);
  expect_equal(globs, paths);
}

}  // namespace
}  // namespace nightjar::test
