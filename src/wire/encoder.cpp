// SPDX-License-Identifier: Apache-2.0
#include "wire/encoder.hpp"

#include <algorithm>
#include <memory>

#include <string.h>  // strerrorname_np, sigabbrev_np

namespace nightjar {
namespace {

using wire::Field;
using wire::Shape;
using wire::Storage;

/// The object that is written, as a tree; the order of first appearance is kept.
struct Node {
  std::string name;
  std::vector<std::unique_ptr<Node>> children;
  const Field* field = nullptr;
  std::uint32_t offset = 0;
  Fact fact = Fact::count_;
  std::string constant;

  Node& child(std::string_view dotted) {
    const auto dot = dotted.find('.');
    const std::string_view first = dotted.substr(0, dot);
    auto found = std::find_if(children.begin(), children.end(), [&](const auto& c) { return c->name == first; });
    if (found == children.end()) {
      children.push_back(std::make_unique<Node>());
      children.back()->name = first;
      found = children.end() - 1;
    }
    return dot == std::string_view::npos ? **found : (*found)->child(dotted.substr(dot + 1));
  }
};

void add_fields(Node& root, std::span<const Field> fields, std::uint32_t base) {
  for (const Field& field : fields) {
    if (field.show.shape == Shape::inlined) {
      add_fields(root, field.inner, base + field.offset);
    } else if (!field.name.empty()) {
      Node& node = root.child(field.name);
      node.field = &field;
      node.offset = base + field.offset;
    }
  }
}

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
  if (field.store == Storage::s32 || field.store == Storage::s64) {
    json::number(to, static_cast<std::int64_t>(value));
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
  const std::uint64_t value = unsigned_value(field, at);
  if (value == field.show.absent) return false;
  switch (field.show.shape) {
    case Shape::number:
      write_number(to, field, value);
      return true;
    case Shape::keyword:
      to += '"';
      write_number(to, field, value);
      to += '"';
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
    case Shape::hidden:
    case Shape::padding:
    case Shape::text:
    case Shape::path:
    case Shape::inlined:
      return false;
  }
  return false;
}

Encoder::Encoder(const std::vector<json::Named>& constants) {
  for (const EventInfo& event : all_events()) plans_.push_back(make_plan(event, constants));
}

Encoder::Plan Encoder::make_plan(const EventInfo& event, const std::vector<json::Named>& constants) {
  Node root;
  // The order in which people look: when, what, who; nightjar.raw last, because it is known last.
  for (const std::string_view first : {"@timestamp", "event", "process", "user", "file", "error", "container", "host"})
    root.child(first);
  const auto constant = [&](std::string_view name, std::string value) { root.child(name).constant = std::move(value); };
  constant("event.kind", json::quoted(event.ecs_kind));
  constant("event.category", std::string(event.category));
  constant("event.type", std::string(event.type));
  constant("event.action", json::quoted(event.action));
  constant("event.outcome", json::quoted(event.outcome));
  constant("event.module", "\"nightjar\"");
  constant("ecs.version", "\"9.3.0\"");
  for (const auto& [name, value] : constants) constant(name, value);
  add_fields(root, event.fields, 0);
  for (const FactInfo& info : all_facts()) {
    if (fact_applies(info, event)) root.child(info.name).fact = info.fact;
  }

  Plan plan;
  const auto flatten = [&plan](const auto& self, const Node& node) -> void {
    for (const auto& child : node.children) {
      Step step;
      step.key = json::quoted(child->name) + ":";
      step.field = child->field;
      step.offset = child->offset;
      step.fact = child->fact;
      step.value = child->constant;
      if (!child->children.empty()) {
        step.what = Step::What::open;
        plan.push_back(step);
        self(self, *child);
        plan.push_back({Step::What::close, {}, nullptr, 0, Fact::count_, {}});
        continue;
      }
      if (child->field != nullptr) {
        step.what = Step::What::field;
      } else if (child->fact != Fact::count_) {
        step.what = Step::What::fact;
      } else if (!child->constant.empty()) {
        step.what = Step::What::constant;
      } else {
        continue;  // a name that only set the order
      }
      plan.push_back(std::move(step));
    }
  };
  flatten(flatten, root);
  return plan;
}

void Encoder::encode(std::string& to, const EventInfo& event, Bytes record, Facts& facts) const {
  const Plan& plan = plans_[static_cast<std::size_t>(&event - all_events().data())];
  const Step* waiting[8];  // objects that open when something in them is written
  std::size_t waiting_count = 0;
  bool comma = false;
  std::string raw;

  // Writes what must stand before a value: the objects that it opens, a comma, its key.
  const auto before_value = [&](const Step& step) {
    for (std::size_t i = 0; i < waiting_count; ++i) {
      if (comma) to += ',';
      to += waiting[i]->key;
      to += '{';
      comma = false;
    }
    waiting_count = 0;
    if (comma) to += ',';
    to += step.key;
    comma = true;
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
      case Step::What::constant:
        before_value(step);
        to += step.value;
        break;
      case Step::What::fact: {
        std::string_view value = facts[step.fact];
        if (step.fact == Fact::raw && !facts.raw.empty()) value = raw = json::nested_object(facts.raw);
        if (value.empty()) break;
        before_value(step);
        to += value;
        break;
      }
      case Step::What::field: {
        const std::size_t start = to.size();
        const bool had_comma = comma;
        const std::size_t had_waiting = waiting_count;
        before_value(step);
        if (!write_field(to, *step.field, record, step.offset, facts.raw)) {
          to.resize(start);
          comma = had_comma;
          waiting_count = had_waiting;
        }
        break;
      }
    }
  }
  to += "}\n";
}

}  // namespace nightjar
