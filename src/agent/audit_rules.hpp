// SPDX-License-Identifier: Apache-2.0
// Rules of auditd (audit.rules(7)) as rules of ours.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/filter.hpp"
#include "nightjar/result.hpp"

namespace nightjar {

struct ImportedRule {
  Rule rule;
  std::string origin;              ///< "FILE:LINE"
  std::string text;                ///< as it stood there
  std::vector<std::string> notes;  ///< what it does differently
};

struct AuditImport {
  std::vector<ImportedRule> rules;
  std::vector<std::string> without_equivalent;  ///< "FILE:LINE: TEXT: why", one each
  std::vector<std::string> wrong;               ///< what is no audit rule, the same way
  std::size_t twin_rules = 0;                   ///< the same as one above (the 32-bit half of a pair)
  std::size_t settings = 0;                     ///< of auditd itself (-b, -f, -D): nothing to import

  /// Takes one line of the file.
  void take(std::string_view line, const std::string& file, std::size_t number);
  /// The configuration, with what is to be known as comments.
  [[nodiscard]] std::string yaml() const;
};

}  // namespace nightjar
