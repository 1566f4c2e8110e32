// SPDX-License-Identifier: Apache-2.0
#include "wire/encoder.hpp"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <string.h>  // strerrorname_np, sigabbrev_np

#include "wire/address.hpp"

namespace nightjar {
namespace {

using wire::Field;
using wire::Shape;
using wire::Storage;

std::uint64_t unsigned_value(const Field& field, const std::byte* at) {
  const auto load = [at]<class T>(T value) {
    std::memcpy(&value, at, sizeof value);
    return static_cast<std::uint64_t>(value);
  };
  switch (field.store) {
    case Storage::u8:
      return load(std::uint8_t{});
    case Storage::u16:
      return load(std::uint16_t{});
    case Storage::u32:
      return load(std::uint32_t{});
    case Storage::s32:
      return load(std::int32_t{});
    case Storage::u64:
      return load(std::uint64_t{});
    case Storage::s64:
      return load(std::int64_t{});
    case Storage::chars:
    case Storage::slice:
    case Storage::record:
    case Storage::bytes:
      break;
  }
  return 0;
}

void write_number(std::string& to, const Field& field, std::uint64_t value) {
  const bool is_text = field.show.shape == Shape::keyword;
  if (field.store == Storage::s32 || field.store == Storage::s64) {
    const auto number = static_cast<std::int64_t>(value);
    is_text ? json::number_text(to, number) : json::number(to, number);
  } else if (is_text || value > json::largest_exact_number) {
    json::number_text(to, value);
  } else {
    json::number(to, value);
  }
}

void write_names(std::string& to, std::uint64_t value, std::span<const wire::NamedBit> names) {
  to += '[';
  bool first = true;
  for (const auto& [bit, name] : names) {
    if ((value & bit) == 0) continue;
    if (!first) to += ',';
    first = false;
    to += '"';
    to += name;
    to += '"';
  }
  to += ']';
}

/// An address of 16 bytes; a v4-mapped one reads as IPv4.
bool write_ip(std::string& to, const std::byte* at) {
  static constexpr unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  char text[INET6_ADDRSTRLEN];
  const bool is_v4 = std::memcmp(at, mapped, sizeof mapped) == 0;
  if (inet_ntop(is_v4 ? AF_INET : AF_INET6, at + (is_v4 ? sizeof mapped : 0), text, sizeof text) == nullptr)
    return false;
  to += '"';
  to += text;
  to += '"';
  return true;
}

void write_text(std::string& to, const Field& field, std::string_view text, std::vector<json::Named>& raw) {
  if (json::string(to, text)) return;
  std::string exact;
  json::base64(exact, text);
  raw.emplace_back(field.name, std::move(exact));
}

}  // namespace

bool write_field(std::string& to, const Field& field, Bytes record, std::uint32_t offset,
                 std::vector<json::Named>& raw) {
  const std::byte* at = record.data() + offset;
  if (field.store == Storage::slice || field.store == Storage::chars) {
    std::string_view text;
    if (field.store == Storage::chars) {
      text = {reinterpret_cast<const char*>(at), strnlen(reinterpret_cast<const char*>(at), field.size)};
    } else {
      wire_slice slice;
      std::memcpy(&slice, at, sizeof slice);
      text = string_of(record, slice);
    }
    if (text.empty()) return false;
    write_text(to, field, field.show.shape == Shape::path ? join_path(text) : text, raw);
    return true;
  }
  if (field.show.shape == Shape::ip) {
    if (field.show.absent == 0 && is_any_address(at)) return false;
    return write_ip(to, at);
  }
  const std::uint64_t value = unsigned_value(field, at);
  if (value == field.show.absent) return false;
  switch (field.show.shape) {
    case Shape::number:
    case Shape::keyword:
      write_number(to, field, value);
      return true;
    case Shape::octal: {
      const std::uint64_t mode = value & 07777;
      const char digits[] = {'"',
                             static_cast<char>('0' + (mode >> 9)),
                             static_cast<char>('0' + (mode >> 6 & 7)),
                             static_cast<char>('0' + (mode >> 3 & 7)),
                             static_cast<char>('0' + (mode & 7)),
                             '"'};
      to.append(digits, sizeof digits);
      return true;
    }
    case Shape::device:
      to += '"';
      json::number(to, value >> 20);
      to += ':';
      json::number(to, value & 0xfffff);
      to += '"';
      return true;
    case Shape::epoch_ns:
      json::timestamp(to, static_cast<std::int64_t>(value));
      return true;
    case Shape::names:
      write_names(to, value, field.show.bits);
      return true;
    case Shape::name: {
      const auto& table = field.show.bits;
      const auto found = std::find_if(table.begin(), table.end(), [&](const auto& row) { return row.bit == value; });
      json::string(to, found != table.end() ? found->name : std::to_string(value));
      return true;
    }
    case Shape::error_name: {
      const char* name = strerrorname_np(static_cast<int>(value));
      json::string(to, name != nullptr ? name : std::to_string(value));
      return true;
    }
    case Shape::signal_name: {
      const char* name = sigabbrev_np(static_cast<int>(value));
      json::string(to, name != nullptr ? "SIG" + std::string(name) : std::to_string(value));
      return true;
    }
    case Shape::ip:
    case Shape::hidden:
    case Shape::padding:
    case Shape::text:
    case Shape::path:
    case Shape::inlined:
      return false;
  }
  return false;
}

Encoder::Encoder(const std::vector<json::Named>& constants, Format format) {
  for (const EventInfo& event : all_events()) plans_.push_back(make_plan(event, constants, format));
}

void Encoder::encode(std::string& to, const EventInfo& event, Bytes record, Facts& facts) const {
  const Plan& plan = plans_[static_cast<std::size_t>(&event - all_events().data())];
  const Step* waiting[deepest_nesting];  // objects that open when something in them is written
  std::size_t waiting_count = 0;
  bool comma = false;
  std::string raw;

  // Writes what must stand before a value: the objects that it opens, a comma, its key.
  const auto before_value = [&](const Step& step) {
    for (std::size_t i = 0; i < waiting_count; ++i) {
      to += std::string_view(waiting[i]->key).substr(comma ? 0 : 1);
      comma = false;
    }
    waiting_count = 0;
    to += std::string_view(step.key).substr(comma ? 0 : 1);
    comma = true;
  };
  // A value that is finished JSON; empty: it is not there.
  const auto finished = [&](const Leaf& leaf) -> std::string_view {
    if (leaf.fact == Fact::count_) return leaf.constant;
    if (leaf.fact == Fact::raw && !facts.raw.empty()) return raw = json::nested_object(facts.raw);
    return facts[leaf.fact];
  };

  to += '{';
  for (const Step& step : plan) {
    switch (step.what) {
      case Step::What::open:
        waiting[waiting_count++] = &step;
        break;
      case Step::What::close:
        if (waiting_count > 0) {
          --waiting_count;
        } else {
          to += '}';
          comma = true;
        }
        break;
      case Step::What::leaf: {
        std::string_view known;
        if (step.leaf.field == nullptr) {
          known = finished(step.leaf);
          if (known.empty() && step.leaf.otherwise.empty()) break;
        }
        const std::size_t start = to.size();
        const bool had_comma = comma;
        const std::size_t had_waiting = waiting_count;
        before_value(step);
        const std::size_t value_start = to.size();
        bool there = !known.empty();
        if (step.leaf.field != nullptr) there = write_field(to, *step.leaf.field, record, step.leaf.offset, facts.raw);
        to += known;
        if (there && step.leaf.convert != Convert::none) there = convert_value(to, value_start, step.leaf);
        if (there) break;
        if (!step.leaf.otherwise.empty()) {
          to += step.leaf.otherwise;
          break;
        }
        to.resize(start);
        comma = had_comma;
        waiting_count = had_waiting;
        break;
      }
    }
  }
  to += "}\n";
}

}  // namespace nightjar
