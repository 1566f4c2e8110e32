// SPDX-License-Identifier: Apache-2.0
// DNS messages (RFC 1035), from bytes that anybody may have sent. No system calls, no trust.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace nightjar {

struct DnsQuestion {
  std::string name;  ///< in presentation form, without the dot at the end; "." for the root
  std::string type, klass;
};

struct DnsRecord {
  std::string name, type, klass;
  std::uint32_t ttl = 0;
  std::string data;         ///< in presentation form; "\# LENGTH HEX" (RFC 3597) for types not known here
  bool is_address = false;  ///< A or AAAA: data is an IP address
};

struct DnsMessage {
  std::uint16_t id = 0;
  bool is_answer = false;
  std::string operation, response_code;
  std::vector<std::string> flags;  ///< AA, TC, RD, RA, AD, CD
  std::vector<DnsQuestion> questions;
  std::vector<DnsRecord> answers;
  bool cut = false;  ///< the message was truncated, or has more records than are kept: not every answer is there
};

/// Nothing when it is no DNS message. `whole` is false for the beginning of a message: answers that are missing then
/// are no error.
std::optional<DnsMessage> parse_dns(std::span<const std::byte> bytes, bool whole);

}  // namespace nightjar
