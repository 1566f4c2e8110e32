// SPDX-License-Identifier: Apache-2.0
// nightjar import-audit: rules of auditd in, a configuration file and a report out.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>

#include "agent/audit_rules.hpp"
#include "agent/commands.hpp"
#include "wire/json.hpp"

namespace nightjar {
namespace {

/// A comment that cannot end early, whatever the audit rule held.
std::string comment(const std::string& text) {
  std::string safe = "# ";
  for (const char c : text)
    safe += static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f ? '?' : c;
  return safe + "\n";
}

std::string words_yaml(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + json::quoted(word);
  return "[" + text + "]";
}

std::string rule_yaml(const ImportedRule& imported) {
  const Rule& rule = imported.rule;
  std::string text = "  " + comment(imported.text);
  for (const std::string& note : imported.notes) text += "  " + comment("NOTE: " + note);
  text += "  - id: " + json::quoted(rule.id) + "\n    action: " + (rule.keep ? "keep" : "drop") + "\n";
  if (!rule.tags.empty()) text += "    tags: " + words_yaml(rule.tags) + "\n";
  std::vector<std::string> events;
  for (const Kind kind : rule.events) events.emplace_back(event_info(kind).action);
  if (!events.empty()) text += "    events: " + words_yaml(events) + "\n";
  for (std::size_t i = 0; i < subject_count; ++i) {
    std::vector<std::string> values = rule.patterns[i];
    for (const auto& [first, last] : rule.ranges[i])
      values.push_back(std::to_string(first) + "-" + std::to_string(last));
    if (!values.empty())
      text += "    " + std::string(name_of(static_cast<Subject>(i))) + ": " + words_yaml(values) + "\n";
  }
  return text;
}

int say(const AuditImport& import) {
  std::size_t noted = 0;
  for (const ImportedRule& imported : import.rules) {
    noted += imported.notes.empty() ? 0 : 1;
    for (const std::string& note : imported.notes)
      std::fprintf(stderr, "differs: %s: %s: %s\n", imported.origin.c_str(), imported.text.c_str(), note.c_str());
  }
  for (const std::string& line : import.without_equivalent) std::fprintf(stderr, "no equivalent: %s\n", line.c_str());
  for (const std::string& line : import.wrong) std::fprintf(stderr, "wrong: %s\n", line.c_str());
  std::fprintf(
      stderr,
      "%zu rules imported (%zu of them differ), %zu the same as another, %zu without equivalent, %zu wrong, %zu "
      "settings of auditd left out\n",
      import.rules.size(), noted, import.twin_rules, import.without_equivalent.size(), import.wrong.size(),
      import.settings);
  return import.wrong.empty() ? exit_done : exit_failed;
}

bool read_rules(const std::string& path, AuditImport& import) {
  std::ifstream file;
  std::error_code ignored;
  if (path != "-") {
    if (!std::filesystem::is_directory(path, ignored)) file.open(path);
    if (!file.is_open()) {
      std::fprintf(stderr, "nightjar: cannot read the rules %s\n", path.c_str());
      return false;
    }
  }
  std::istream& in = path == "-" ? std::cin : file;
  const std::string name = path == "-" ? "stdin" : std::filesystem::path(path).filename().string();
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) import.take(line, name, ++number);
  return true;
}

}  // namespace

std::string AuditImport::yaml() const {
  std::string text =
      "# Written by nightjar import-audit; see nightjar.yaml(5).\n"
      "# auditd reports what a rule selects and nothing else, and so does this.\n";
  for (const std::string& line : without_equivalent) text += comment("NO EQUIVALENT: " + line);
  for (const std::string& line : wrong) text += comment("WRONG: " + line);
  std::set<std::string_view> events;
  bool all = rules.empty();
  for (const ImportedRule& imported : rules) {
    all |= imported.rule.events.empty();
    for (const Kind kind : imported.rule.events) events.insert(event_info(kind).action);
  }
  if (all) events.insert("all");
  text += "events: " + words_yaml({events.begin(), events.end()}) + "\ndefault: " + (rules.empty() ? "keep" : "drop") +
          "\n";
  text += rules.empty() ? "rules: []\n" : "rules:\n";
  for (const ImportedRule& imported : rules) text += rule_yaml(imported);
  return text;
}

int import_audit(const Options& options) {
  AuditImport import;
  for (const std::string& path : options.inputs) {
    if (!read_rules(path, import)) return exit_failed;
  }
  const std::string yaml = import.yaml();
  if (options.target.empty() || options.target == "-") {
    std::fputs(yaml.c_str(), stdout);
    if (std::fflush(stdout) != 0) {
      std::perror("nightjar: cannot write the configuration");
      return exit_failed;
    }
  } else {
    std::ofstream out(options.target, std::ios::trunc);
    out << yaml;
    if (!out.flush()) {
      std::fprintf(stderr, "nightjar: cannot write %s\n", options.target.c_str());
      return exit_failed;
    }
  }
  return say(import);
}

}  // namespace nightjar
