// SPDX-License-Identifier: Apache-2.0
// Rules of auditd of any bytes: what comes out is a configuration that is right, or there is nothing in it.
#include <cstdint>
#include <cstdlib>

#include "agent/audit_rules.hpp"
#include "agent/config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nightjar;
  AuditImport import;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = text.find('\n');
    import.take(text.substr(0, end), "fuzz.rules", number);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  const auto config = parse_config(import.yaml(), "fuzz.yaml");
  if (config && config->filter.rules.size() != import.rules.size()) std::abort();
  // More rules than a configuration may hold, or one that is too large, is said when it is read.
  if (!config && size < 4096) std::abort();
  return 0;
}
