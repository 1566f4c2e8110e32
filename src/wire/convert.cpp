// SPDX-License-Identifier: Apache-2.0
// What values become on their way to another place.
#include <algorithm>

#include "wire/plan.hpp"

namespace nightjar {
namespace {

std::string_view unquoted(std::string_view json) {
  return json.size() >= 2 && json.front() == '"' ? json.substr(1, json.size() - 2) : json;
}

bool is_integer(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// The keys of objects renamed. A key cannot stand inside a string: its quotes would be escaped there.
std::string renamed(std::string text, std::span<const Choice> keys) {
  for (const auto& [from, to] : keys) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
  }
  return text;
}

/// ["NAME=value",…], as the agent writes it, as objects.
std::string environment_objects(std::string_view array) {
  std::string out = "[";
  bool inside = false;
  bool named = false;
  for (std::size_t i = 1; i + 1 < array.size(); ++i) {
    const char c = array[i];
    if (!inside) {
      if (c == ',') out += ',';
      if (c == '"') {
        out += R"({"name":")";
        inside = true;
        named = false;
      }
    } else if (c == '\\') {
      out += c;
      out += array[++i];
    } else if (c == '"') {
      out += named ? "\"}" : R"(","value":""})";
      inside = false;
    } else if (c == '=' && !named) {
      out += R"(","value":")";
      named = true;
    } else {
      out += c;
    }
  }
  return out + "]";
}

constexpr Choice ancestor_keys[] = {{R"("entity_id":)", R"("uid":)"}, {R"("executable":)", R"("path":)"}};
constexpr Choice answer_keys[] = {{R"("name":)", R"("hostname":)"}, {R"("data":)", R"("rdata":)"}};

/// Empty: nothing to show.
std::string converted(std::string_view value, const Leaf& leaf) {
  switch (leaf.convert) {
    case Convert::none:
      return std::string(value);
    case Convert::milliseconds: {
      const std::int64_t ms = json::milliseconds_of(value);
      return ms < 0 ? std::string() : std::to_string(ms);
    }
    case Convert::ns_to_milliseconds:
      if (!is_integer(value)) return {};
      return value.size() > 6 ? std::string(value.substr(0, value.size() - 6)) : "0";
    case Convert::integer: {
      const std::string_view number = unquoted(value);
      return is_integer(number) ? std::string(number) : std::string();
    }
    case Convert::text:
      return value.starts_with('"') ? std::string(value) : '"' + std::string(value) + '"';
    case Convert::base_name: {
      const auto slash = value.rfind('/');
      return slash == std::string_view::npos || slash + 2 >= value.size() ? std::string(value)
                                                                          : '"' + std::string(value.substr(slash + 1));
    }
    case Convert::environment:
      return environment_objects(value);
    case Convert::sha256:
      return R"([{"algorithm_id":3,"algorithm":"SHA-256","value":)" + std::string(value) + "}]";
    case Convert::ancestry:
      return renamed(std::string(value), ancestor_keys);
    case Convert::answers:
      return renamed(std::string(value), answer_keys);
    case Convert::choose:
      for (const auto& [from, to] : leaf.choices) {
        if (from == value) return std::string(to);
      }
      return {};
    case Convert::constant:
      return std::string(leaf.choices.front().to);
  }
  return {};
}

}  // namespace

bool convert_value(std::string& to, std::size_t start, const Leaf& leaf) {
  const std::string shown = converted(std::string_view(to).substr(start), leaf);
  to.resize(start);
  to += shown;
  return !shown.empty();
}

}  // namespace nightjar
