// SPDX-License-Identifier: Apache-2.0
#include "agent/recorded.hpp"

namespace nightjar {
namespace {

constexpr int deepest = 32;
constexpr std::size_t longest_line = 4 << 20;

}  // namespace

const nlohmann::json* value_at(const nlohmann::json& event, std::string_view dotted) {
  const nlohmann::json* at = &event;
  while (true) {
    const auto dot = dotted.find('.');
    if (!at->is_object()) return nullptr;
    const auto found = at->find(std::string(dotted.substr(0, dot)));
    if (found == at->end()) return nullptr;
    at = &*found;
    if (dot == std::string_view::npos) return at;
    dotted.remove_prefix(dot + 1);
  }
}

std::string text_at(const nlohmann::json& event, std::string_view dotted) {
  const nlohmann::json* value = value_at(event, dotted);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  return value->is_number_integer() ? value->dump() : std::string();
}

std::uint64_t number_at(const nlohmann::json& event, std::string_view dotted) {
  const nlohmann::json* value = value_at(event, dotted);
  return value != nullptr && value->is_number_unsigned() ? value->get<std::uint64_t>() : 0;
}

nlohmann::json parse_event(std::string_view line) {
  const nlohmann::json refused(nlohmann::json::value_t::discarded);
  if (line.size() > longest_line) return refused;
  bool too_deep = false;
  const auto check = [&](int depth, nlohmann::json::parse_event_t /*event*/, nlohmann::json& /*value*/) {
    too_deep |= depth > deepest;
    return depth <= deepest;
  };
  nlohmann::json event = nlohmann::json::parse(line, check, false);
  if (too_deep || event.is_discarded() || !event.is_object()) return refused;
  return text_at(event, "event.action").empty() ? refused : event;
}

}  // namespace nightjar
