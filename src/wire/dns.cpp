// SPDX-License-Identifier: Apache-2.0
#include "wire/dns.hpp"

#include <array>
#include <string_view>

#include <arpa/inet.h>

namespace nightjar {
namespace {

constexpr std::size_t name_bytes = 255;       // RFC 1035 2.3.4
constexpr std::size_t label_bytes = 63;       // likewise
constexpr std::size_t questions_kept = 8;     // everybody asks one
constexpr std::size_t answers_kept = 64;      // of A records, what fits into 1232 bytes
constexpr std::size_t data_bytes_kept = 512;  // of one record

enum Type : std::uint16_t { A = 1, NS = 2, CNAME = 5, PTR = 12, MX = 15, TXT = 16, AAAA = 28, SRV = 33 };

struct Name {
  std::uint16_t value;
  std::string_view name;
};

// IANA, "Domain Name System (DNS) Parameters"
constexpr Name types[] = {
    {1, "A"},       {2, "NS"},     {5, "CNAME"}, {6, "SOA"},    {12, "PTR"},   {13, "HINFO"},
    {15, "MX"},     {16, "TXT"},   {28, "AAAA"}, {29, "LOC"},   {33, "SRV"},   {35, "NAPTR"},
    {39, "DNAME"},  {41, "OPT"},   {43, "DS"},   {44, "SSHFP"}, {46, "RRSIG"}, {47, "NSEC"},
    {48, "DNSKEY"}, {50, "NSEC3"}, {52, "TLSA"}, {64, "SVCB"},  {65, "HTTPS"}, {99, "SPF"},
    {251, "IXFR"},  {252, "AXFR"}, {255, "ANY"}, {256, "URI"},  {257, "CAA"},
};
constexpr Name classes[] = {{1, "IN"}, {3, "CH"}, {4, "HS"}, {254, "NONE"}, {255, "ANY"}};
constexpr Name operations[] = {{0, "QUERY"}, {1, "IQUERY"}, {2, "STATUS"}, {4, "NOTIFY"}, {5, "UPDATE"}, {6, "DSO"}};
constexpr Name codes[] = {{0, "NOERROR"}, {1, "FORMERR"}, {2, "SERVFAIL"}, {3, "NXDOMAIN"},
                          {4, "NOTIMP"},  {5, "REFUSED"}, {6, "YXDOMAIN"}, {7, "YXRRSET"},
                          {8, "NXRRSET"}, {9, "NOTAUTH"}, {10, "NOTZONE"}};

std::string name_of(std::span<const Name> table, std::uint16_t value, std::string_view otherwise) {
  for (const Name& row : table) {
    if (row.value == value) return std::string(row.name);
  }
  return std::string(otherwise) + std::to_string(value);
}

/// Reads on; after the first thing that is not there every read gives zero and ok() is false.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t at() const { return at_; }
  void seek(std::size_t at) { at_ = at; }

  std::uint8_t u8() {
    if (at_ >= bytes_.size()) ok_ = false;
    return ok_ ? std::to_integer<std::uint8_t>(bytes_[at_++]) : std::uint8_t{0};
  }
  std::uint16_t u16() {
    const unsigned high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }
  std::uint32_t u32() {
    const std::uint32_t high = u16();
    return high << 16 | u16();
  }
  std::span<const std::byte> block(std::size_t size) {
    if (!ok_ || size > bytes_.size() - at_) ok_ = false;
    if (!ok_) return {};
    at_ += size;
    return bytes_.subspan(at_ - size, size);
  }
  void fail() { ok_ = false; }

  /// A name, whose labels may stand elsewhere. A pointer must lead back, so that no chain of them ends in itself.
  std::string name() {
    std::string text;
    std::size_t size = 0, end = 0, limit = at_;
    for (;;) {
      const std::uint8_t length = u8();
      if (!ok_) return {};
      if (length == 0) break;
      if ((length & 0xc0) == 0xc0) {
        const std::size_t target = static_cast<std::size_t>(length & 0x3f) << 8 | u8();
        if (end == 0) end = at_;
        if (!ok_ || target >= limit) {
          fail();
          return {};
        }
        at_ = limit = target;
        continue;
      }
      size += length + 1U;
      if (length > label_bytes || size >= name_bytes) fail();
      label(text, block(length));
      if (!ok_) return {};
    }
    if (end != 0) at_ = end;
    return text.empty() ? "." : text;
  }

 private:
  /// RFC 4343 2.1: what is not a plain character is \DDD, a dot or backslash within a label \. and \\.
  static void label(std::string& to, std::span<const std::byte> bytes) {
    if (!to.empty()) to += '.';
    for (const std::byte byte : bytes) {
      const auto value = std::to_integer<unsigned>(byte);
      if (value == '.' || value == '\\') {
        to += '\\';
        to += static_cast<char>(value);
      } else if (value > 0x20 && value < 0x7f) {
        to += static_cast<char>(value);
      } else {
        to += '\\';
        for (const unsigned unit : {100U, 10U, 1U}) to += static_cast<char>('0' + value / unit % 10);
      }
    }
  }

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

std::string address(int family, std::span<const std::byte> bytes) {
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(family, bytes.data(), text, sizeof text) != nullptr ? text : "";
}

std::string unknown(std::span<const std::byte> bytes) {
  std::string text = "\\# " + std::to_string(bytes.size());
  if (!bytes.empty()) text += ' ';
  for (const std::byte byte : bytes.first(std::min(bytes.size(), data_bytes_kept))) {
    text += "0123456789abcdef"[std::to_integer<unsigned>(byte) >> 4];
    text += "0123456789abcdef"[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

std::string strings(std::span<const std::byte> bytes) {
  std::string text;
  while (!bytes.empty()) {
    const std::size_t length = std::min<std::size_t>(std::to_integer<unsigned>(bytes[0]), bytes.size() - 1);
    text.append(reinterpret_cast<const char*>(bytes.data()) + 1, length);
    bytes = bytes.subspan(length + 1);
  }
  return text.substr(0, 4 * data_bytes_kept);
}

/// The data of a record, which starts where the reader is; its names may lead anywhere before.
std::string data_of(Reader reader, std::uint16_t type, std::span<const std::byte> data, bool& is_address, bool& ok) {
  std::string text;
  switch (type) {
    case A:
    case AAAA:
      if (data.size() != (type == A ? 4U : 16U)) break;
      is_address = true;
      return address(type == A ? AF_INET : AF_INET6, data);
    case NS:
    case CNAME:
    case PTR:
      text = reader.name();
      ok = reader.ok();
      return text;
    case MX:
      text = std::to_string(reader.u16()) + ' ';
      text += reader.name();
      ok = reader.ok();
      return text;
    case SRV:
      for (int i = 0; i < 3; ++i) text += std::to_string(reader.u16()) + ' ';
      text += reader.name();
      ok = reader.ok();
      return text;
    case TXT:
      return strings(data);
    default:
      break;
  }
  return unknown(data);
}

bool read_answer(Reader& reader, DnsMessage& message) {
  DnsRecord record;
  record.name = reader.name();
  const std::uint16_t type = reader.u16();
  record.type = name_of(types, type, "TYPE");
  record.klass = name_of(classes, reader.u16(), "CLASS");
  record.ttl = reader.u32();
  const std::uint16_t length = reader.u16();
  const Reader at_data = reader;
  const auto data = reader.block(length);
  bool ok = reader.ok();
  if (ok) record.data = data_of(at_data, type, data, record.is_address, ok);
  if (ok) message.answers.push_back(std::move(record));
  return ok;
}

}  // namespace

std::optional<DnsMessage> parse_dns(std::span<const std::byte> bytes, bool whole) {
  Reader reader(bytes);
  DnsMessage message;
  message.id = reader.u16();
  const std::uint16_t bits = reader.u16();
  const std::uint16_t questions = reader.u16(), answers = reader.u16();
  reader.u32();  // the counts of authority and additional records, which are not told
  if (!reader.ok() || questions > questions_kept) return std::nullopt;

  message.is_answer = (bits & 0x8000) != 0;
  message.operation = name_of(operations, bits >> 11 & 15, "OPCODE");
  message.response_code = name_of(codes, bits & 15, "RCODE");
  constexpr std::array<Name, 6> flags = {Name{0x0400, "AA"}, {0x0200, "TC"}, {0x0100, "RD"},
                                         {0x0080, "RA"},     {0x0020, "AD"}, {0x0010, "CD"}};
  for (const auto& [bit, name] : flags) {
    if ((bits & bit) != 0) message.flags.emplace_back(name);
  }
  message.cut = (bits & 0x0200) != 0 || !whole;

  for (unsigned i = 0; i < questions; ++i) {
    DnsQuestion question;
    question.name = reader.name();
    question.type = name_of(types, reader.u16(), "TYPE");
    question.klass = name_of(classes, reader.u16(), "CLASS");
    if (!reader.ok()) return std::nullopt;
    message.questions.push_back(std::move(question));
  }
  for (unsigned i = 0; i < answers; ++i) {
    if (i == answers_kept) {
      message.cut = true;
      break;
    }
    if (read_answer(reader, message)) continue;
    if (!message.cut) return std::nullopt;
    break;
  }
  return message;
}

}  // namespace nightjar
