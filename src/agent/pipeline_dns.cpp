// SPDX-License-Identifier: Apache-2.0
// DNS messages and unix sockets: what their records mean.
#include <algorithm>

#include "agent/pipeline.hpp"
#include "wire/dns.hpp"

namespace nightjar {
namespace {

/// Elements as JSON, with a comma before each but the first.
class List {
 public:
  explicit List(std::string& to) : to_(to) { to_ += '['; }
  void next() { to_ += to_.back() == '[' ? "" : ","; }
  void end() { to_ += ']'; }

 private:
  std::string& to_;
};

void answers_json(std::string& to, const DnsMessage& message) {
  List list(to);
  for (const DnsRecord& record : message.answers) {
    list.next();
    to += "{\"name\":" + json::quoted(record.name) + ",\"type\":" + json::quoted(record.type) +
          ",\"class\":" + json::quoted(record.klass) + ",\"ttl\":";
    json::number(to, record.ttl);
    to += ",\"data\":" + json::quoted(record.data) + "}";
  }
  list.end();
}

void addresses_json(std::string& to, const DnsMessage& message) {
  List list(to);
  for (const DnsRecord& record : message.answers) {
    if (!record.is_address) continue;
    list.next();
    json::string(to, record.data);
  }
  list.end();
}

}  // namespace

void Pipeline::on_dns(Bytes record, std::string& out) {
  const auto& payload = as_wire<net_payload>(record);
  if (!wanted(static_cast<Kind>(payload.on.hdr.kind))) return;
  const std::string_view text = text_of(record, payload.message);
  tell_dns(record, text, text.size() >= payload.full_size, out);
}

void Pipeline::tell_dns(Bytes record, std::string_view text, bool whole, std::string& out) {
  const auto& payload = as_wire<net_payload>(record);
  const auto kind = static_cast<Kind>(payload.on.hdr.kind);
  const bool unread = (payload.on.hdr.incomplete & WIRE_MISSING_DNS) != 0;
  const auto message = parse_dns(std::as_bytes(std::span(text)), whole);
  // What goes to port 53 need not be DNS, and an answer must be one.
  if (!unread && (!message || message->is_answer != (kind == Kind::dns_answer))) {
    ++malformed_dns_;
    return;
  }
  common_facts(payload.on.hdr, payload.on.task, processes_.find(key_of(payload.on.task)));
  flow_facts(payload.on);
  facts_[Fact::dns_type] = kind == Kind::dns_query ? R"("query")" : R"("answer")";
  if (message) dns_facts(*message, kind == Kind::dns_answer);
  finish(kind, record, out);
}

/// Over TCP: the messages in what a process wrote or read.
void Pipeline::on_dns_part(Bytes record, std::string& out) {
  const auto& part = as_wire<net_dns_part>(record);
  const Kind kind = part.answer != 0 ? Kind::dns_answer : Kind::dns_query;
  if (!wanted(kind)) return;
  net_payload payload{};
  payload.on = part.on;
  payload.on.hdr.size = sizeof payload;
  payload.on.hdr.kind = static_cast<std::uint16_t>(kind);
  payload.on.hdr.cpu = 0xffff;  // none: a message may have come in parts
  const auto tell = [&](std::string_view message, std::uint32_t incomplete) {
    payload.on.hdr.seq = settings_.sequence_base + dns_over_tcp_[0] + dns_over_tcp_[1];
    payload.on.hdr.incomplete = incomplete;
    ++dns_over_tcp_[part.answer != 0 ? 1 : 0];
    tell_dns(std::as_bytes(std::span(&payload, 1)), message, true, out);
  };
  dns_streams_.add(
      {part.stream, part.answer != 0, part.offset, part.size, text_of(record, part.bytes)},
      [&](std::string_view message) { tell(message, 0); }, [&] { tell({}, WIRE_MISSING_DNS); });
}

void Pipeline::dns_facts(const DnsMessage& message, bool answer) {
  facts_[Fact::dns_id] = scratch() = json::quoted(std::to_string(message.id));
  facts_[Fact::dns_op_code] = scratch() = json::quoted(message.operation);
  std::string& flags = scratch();
  List list(flags);
  for (const std::string& flag : message.flags) {
    list.next();
    json::string(flags, flag);
  }
  list.end();
  facts_[Fact::dns_header_flags] = flags;
  if (!message.questions.empty()) {
    const DnsQuestion& question = message.questions.front();
    facts_[Fact::dns_question_name] = scratch() = json::quoted(question.name);
    facts_[Fact::dns_question_type] = scratch() = json::quoted(question.type);
    facts_[Fact::dns_question_class] = scratch() = json::quoted(question.klass);
  }
  if (message.cut) truncated_.emplace_back("dns.answers", "null");
  if (!answer) return;
  facts_[Fact::dns_response_code] = scratch() = json::quoted(message.response_code);
  std::string& answers = scratch();
  answers_json(answers, message);
  facts_[Fact::dns_answers] = answers;
  std::string& addresses = scratch();
  addresses_json(addresses, message);
  facts_[Fact::dns_resolved_ip] = addresses;
}

void Pipeline::on_unix(Bytes record, std::string& out) {
  const auto& told = as_wire<net_unix>(record);
  if (!wanted(Kind::unix_connect)) return;
  common_facts(told.hdr, told.task, processes_.find(key_of(told.task)));
  const std::string_view path(reinterpret_cast<const char*>(told.path),
                              std::min<std::size_t>(told.path_bytes, sizeof told.path));
  std::string name;
  if (!path.empty()) {
    // As ss(8) and systemd write the abstract namespace: "@" for the first NUL. A path ends at its NUL.
    const bool abstract = path.front() == '\0';
    name = abstract ? "@" + std::string(path.substr(1)) : std::string(path.substr(0, path.find('\0')));
    facts_[Fact::unix_address] = text_fact(Fact::unix_address, name);
  }
  const Process* peer = processes_.find_live(told.peer_pid);
  if (peer != nullptr && peer->image) facts_[Fact::unix_peer_executable] = peer->image->executable;
  finish(Kind::unix_connect, record, out);
}

}  // namespace nightjar
