// SPDX-License-Identifier: Apache-2.0
#include "output/http_body.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "output/json_walk.hpp"
#include "wire/json.hpp"

namespace nightjar::http {
namespace {

constexpr std::size_t told_of_an_answer = 200;
constexpr int severity_info = 9;  // SeverityNumber of OTLP
constexpr int severity_warn = 13;

/// "2026-11-22T19:56:01.123456789Z" as nanoseconds since 1970; 0 when it is something else.
std::uint64_t unix_nanoseconds(const std::string& stamp) {
  std::tm utc{};
  const char* rest = strptime(stamp.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (rest == nullptr || *rest != '.') return 0;
  std::uint64_t fraction = 0;
  const char* end = stamp.c_str() + stamp.size();
  const auto parsed = std::from_chars(rest + 1, end, fraction);
  for (auto digits = parsed.ptr - rest - 1; digits < 9; ++digits) fraction *= 10;
  return static_cast<std::uint64_t>(timegm(&utc)) * 1'000'000'000 + fraction;
}

std::string attribute(std::string_view key, std::string_view text) {
  return "{\"key\":" + json::quoted(key) + ",\"value\":{\"stringValue\":" + json::quoted(text) + "}}";
}

void otlp_record(std::string& to, Kind kind, std::string_view line) {
  const bool loss = kind == Kind::events_lost;
  std::string id;
  std::string stamp;
  json::walk(line, [&](std::string_view name, std::string_view value) {
    if (name == "event.id") id = json::unquoted(value);
    if (name == "@timestamp") stamp = json::unquoted(value);
    return id.empty() || stamp.empty();
  });
  const std::string_view action = event_info(kind).action;
  to += "{\"timeUnixNano\":\"";
  json::number(to, unix_nanoseconds(stamp));
  to += "\",\"severityNumber\":";
  json::number(to, loss ? severity_warn : severity_info);
  to += loss ? R"(,"severityText":"WARN")" : R"(,"severityText":"INFO")";
  to += ",\"body\":{\"stringValue\":" + json::quoted(line) + "},\"attributes\":[";
  to += attribute("event.name", action) + "," + attribute("event.id", id) + "]}";
}

std::string otlp_body(const BodySettings& settings, const Batch& batch, const std::vector<std::size_t>& lines) {
  std::string body =
      "{\"resourceLogs\":[{\"resource\":{\"attributes\":[" + attribute("service.name", "nightjar") + "," +
      attribute("host.name", settings.hostname) +
      "]},\"scopeLogs\":[{\"scope\":{\"name\":\"nightjar\",\"version\":" + json::quoted(NIGHTJAR_VERSION) +
      "},\"logRecords\":[";
  for (const std::size_t index : lines) {
    std::string_view line = batch.line(index);
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (body.back() != '[') body += ',';
    otlp_record(body, batch.lines[index].kind, line);
  }
  return body + "]}]}]}";
}

std::string excerpt(std::string_view body) {
  std::string text;
  for (const char c : body.substr(0, told_of_an_answer)) text += c >= ' ' && c <= '~' ? c : ' ';
  return text;
}

Fate fate_of(long status) {
  if (status >= 200 && status < 300) return Fate::delivered;
  if (status == 400 || status == 413 || status == 422) return Fate::refused;
  return Fate::again;  // 401, 403, 404 too: somebody will mend that, and nothing need be lost
}

long integer(std::string_view text) {
  const std::string plain = json::unquoted(text);
  long value = 0;
  std::from_chars(plain.data(), plain.data() + plain.size(), value);
  return value;
}

void read_bulk(Answer& answer, std::string_view body) {
  if (json::find(body, "errors") == "false") return;
  std::size_t line = 0;
  json::elements(json::find(body, "items"), [&](std::string_view item) {
    if (line >= answer.fates.size()) return;
    json::walk(item, [&](std::string_view name, std::string_view value) {
      // 409: this _id is there already, from a request whose answer was lost.
      if (name.ends_with(".status") && name.find('.') + 7 == name.size())
        answer.fates[line] = value == "409" ? Fate::delivered : fate_of(integer(value));
      if (name.ends_with(".error.reason")) answer.why = excerpt(json::unquoted(value));
      return true;
    });
    ++line;
  });
  // An answer that does not tell of each line tells of none.
  if (line != answer.fates.size()) {
    std::ranges::fill(answer.fates, Fate::again);
    answer.why = "not a _bulk answer: " + excerpt(body);
  }
}

}  // namespace

std::string_view content_type(Form form) {
  return form == Form::otlp ? "application/json" : "application/x-ndjson";
}

std::string make_body(const BodySettings& settings, const Batch& batch, const std::vector<std::size_t>& lines) {
  if (settings.form == Form::otlp) return otlp_body(settings, batch, lines);
  std::string body;
  for (const std::size_t index : lines) {
    const std::string_view line = batch.line(index);
    if (settings.form == Form::bulk) {
      body += "{\"create\":{";
      if (!settings.index.empty()) body += "\"_index\":" + json::quoted(settings.index);
      const std::string_view id = json::find(line, "event.id");
      if (!id.empty()) {
        if (!settings.index.empty()) body += ',';
        body += "\"_id\":";
        body += id;
      }
      body += "}}\n";
    }
    body += line;
  }
  return body;
}

Answer read_answer(Form form, long status, std::string_view body, std::size_t lines) {
  Answer answer;
  answer.fates.assign(lines, fate_of(status));
  answer.too_large = status == 413;
  if (fate_of(status) != Fate::delivered) {
    answer.why = "HTTP status " + std::to_string(status) + ": " + excerpt(body);
    return answer;
  }
  if (form == Form::bulk) read_bulk(answer, body);
  if (form == Form::otlp) {
    const auto refused =
        static_cast<std::size_t>(std::max(0L, integer(json::find(body, "partialSuccess.rejectedLogRecords"))));
    if (refused != 0) answer.why = excerpt(json::unquoted(json::find(body, "partialSuccess.errorMessage")));
    std::fill_n(answer.fates.begin(), std::min(refused, lines), Fate::refused);  // which ones, OTLP does not tell
  }
  return answer;
}

}  // namespace nightjar::http
