// SPDX-License-Identifier: Apache-2.0
#include "agent/recorded.hpp"

#include <array>
#include <chrono>

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

std::int64_t time_at(const nlohmann::json& event, std::string_view dotted) {
  const nlohmann::json* value = value_at(event, dotted);
  if (value == nullptr || !value->is_string()) return no_time;
  std::string_view text = value->get_ref<const std::string&>();
  constexpr std::string_view shape = "0000-00-00T00:00:00";
  if (text.size() <= shape.size() || text.back() != 'Z') return no_time;
  std::array<int, 6> parts{};
  std::size_t part = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (digit != (shape[i] == '0') || (!digit && text[i] != shape[i])) return no_time;
    if (digit) {
      parts.at(part) = parts.at(part) * 10 + (text[i] - '0');
    } else {
      ++part;
    }
  }
  std::int64_t fraction = 0;
  std::int64_t unit = 1'000'000'000;
  text = text.substr(shape.size(), text.size() - shape.size() - 1);
  if (!text.empty() && text.front() != '.') return no_time;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9') return no_time;
    unit /= 10;
    fraction += unit * (text[i] - '0');
  }
  using namespace std::chrono;
  const auto [year_, month_, day_, hour_, minute_, second_] = parts;
  const year_month_day date{year(year_), month(static_cast<unsigned>(month_)), day(static_cast<unsigned>(day_))};
  // Nanoseconds fit until the year 2262.
  if (!date.ok() || year_ < 1970 || year_ > 2261 || hour_ > 23 || minute_ > 59 || second_ > 60) return no_time;
  const auto time = sys_days(date) + hours(hour_) + minutes(minute_) + seconds(second_);
  return nanoseconds(time.time_since_epoch()).count() + fraction;
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
