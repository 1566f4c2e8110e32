// SPDX-License-Identifier: Apache-2.0
#include "wire/encoder.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

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

/// Whether it shows at a glance that a field is not there.
bool is_absent(const Field& field, const std::byte* at) {
  switch (field.store) {
    case Storage::chars:
      return *at == std::byte{0};
    case Storage::slice: {
      wire_slice slice;
      std::memcpy(&slice, at, sizeof slice);
      return slice.len == 0;
    }
    case Storage::record:
    case Storage::bytes:
      return false;
    default:
      return unsigned_value(field, at) == field.show.absent;
  }
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

/// A line, or a passage of one, as it is written.
class Encoder::Line {
 public:
  /// `comma`: whether something stands before it.
  Line(std::string& to, Bytes record, Facts& facts, PassageTexts& texts, bool comma)
      : to_(to), record_(record), facts_(facts), texts_(texts), comma_(comma) {}

  void write(const Plan& plan) {
    for (const Step& step : plan) {
      switch (step.what) {
        case Step::What::open:
          waiting_[waiting_count_++] = &step;
          break;
        case Step::What::close:
          close();
          break;
        case Step::What::leaf:
          if (!is_absent(step.leaf)) write_leaf(step);
          break;
        case Step::What::passage:
          write_passage(*step.passage);
          break;
      }
    }
  }

 private:
  void close() {
    if (waiting_count_ > 0) {
      --waiting_count_;
    } else {
      to_ += '}';
      comma_ = true;
    }
  }

  /// Writes what must stand before a value, or values: the objects that it opens, a comma; and `with_comma` itself.
  void append(std::string_view with_comma) {
    for (std::size_t i = 0; i < waiting_count_; ++i) {
      to_ += std::string_view(waiting_[i]->key).substr(comma_ ? 0 : 1);
      comma_ = false;
    }
    waiting_count_ = 0;
    to_ += with_comma.substr(comma_ ? 0 : 1);
    comma_ = true;
  }

  /// A value that is finished JSON.
  std::string_view finished(const Leaf& leaf) {
    if (leaf.fact == Fact::count_) return leaf.constant;
    if (leaf.fact == Fact::raw && !facts_.raw.empty()) return raw_ = json::nested_object(facts_.raw);
    return facts_[leaf.fact];
  }

  /// At a glance: most of what an event can hold, it does not.
  [[nodiscard]] bool is_absent(const Leaf& leaf) const {
    if (!leaf.otherwise.empty()) return false;
    if (leaf.field != nullptr) return nightjar::is_absent(*leaf.field, record_.data() + leaf.offset);
    if (leaf.fact == Fact::count_) return leaf.constant.empty();
    return facts_[leaf.fact].empty() && (leaf.fact != Fact::raw || facts_.raw.empty());
  }

  void write_leaf(const Step& step) {
    const Leaf& leaf = step.leaf;
    const std::string_view known = leaf.field == nullptr ? finished(leaf) : std::string_view();
    const std::size_t start = to_.size();
    const bool had_comma = comma_;
    const std::size_t had_waiting = waiting_count_;
    append(step.key);
    const std::size_t value_start = to_.size();
    bool there = !known.empty();
    if (leaf.field != nullptr) there = write_field(to_, *leaf.field, record_, leaf.offset, facts_.raw);
    to_ += known;
    if (there && leaf.convert != Convert::none) there = convert_value(to_, value_start, leaf);
    if (there) return;
    if (!leaf.otherwise.empty()) {
      to_ += leaf.otherwise;
      return;
    }
    to_.resize(start);
    comma_ = had_comma;
    waiting_count_ = had_waiting;
  }

  void write_passage(const Passage& passage) {
    const std::size_t hash = passage.hash(record_);
    PassageTexts::Text& kept = texts_.place_of(hash);
    if (kept.passage != &passage || !passage.reads(record_, facts_, kept.inputs)) {
      // The first time it is not worth keeping: most processes do little.
      if (std::exchange(kept.last_hash, hash) != hash) return write(passage.steps());
      kept.passage = &passage;
      kept.inputs = passage.inputs(record_, facts_);
      kept.text.clear();
      const std::size_t raw_before = facts_.raw.size();
      Line(kept.text, record_, facts_, texts_, true).write(passage.steps());
      if (facts_.raw.size() != raw_before) kept.passage = nullptr;  // it adds to another place of the line, too
    }
    if (!kept.text.empty()) append(kept.text);
  }

  std::string& to_;
  Bytes record_;
  Facts& facts_;
  PassageTexts& texts_;
  std::string raw_;
  const Step* waiting_[deepest_nesting]{};  // objects that open when something in them is written
  std::size_t waiting_count_ = 0;
  bool comma_;
};

Encoder::Encoder(const std::vector<json::Named>& constants, Format format) {
  for (const EventInfo& event : all_events()) {
    Plan& plan = plans_.emplace_back(make_plan(event, constants, format));
    for (Step& step : plan) {
      if (step.what == Step::What::passage) step.passage = shared(std::exchange(step.steps, {}));
    }
  }
}

const Passage* Encoder::shared(Plan steps) {
  auto passage = std::make_shared<const Passage>(std::move(steps));
  const auto found = std::ranges::find_if(passages_, [&](const auto& other) { return *other == *passage; });
  if (found != passages_.end()) return found->get();
  return passages_.emplace_back(std::move(passage)).get();
}

void Encoder::encode(std::string& to, const EventInfo& event, Bytes record, Facts& facts) {
  to += '{';
  Line(to, record, facts, texts_, false).write(plans_[static_cast<std::size_t>(&event - all_events().data())]);
  to += "}\n";
}

}  // namespace nightjar
