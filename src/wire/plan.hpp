// SPDX-License-Identifier: Apache-2.0
// How an event becomes a line, worked out once: the nested object flattened to steps. ECS takes the names of the
// descriptions as they are; OCSF (ocsf.hpp) gives them other places.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/events.hpp"
#include "wire/json.hpp"

namespace nightjar {

enum class Format : std::uint8_t { ecs, ocsf };

/// What a value's finished JSON becomes on its way out.
enum class Convert : std::uint8_t {
  none,
  milliseconds,        ///< "2026-11-22T…Z" -> milliseconds since 1970
  ns_to_milliseconds,  ///< nanoseconds -> milliseconds
  integer,             ///< "1000" -> 1000
  text,                ///< 1000 -> "1000"
  base_name,           ///< "/usr/bin/cat" -> "cat"
  environment,         ///< ["A=b"] -> [{"name":"A","value":"b"}]
  sha256,              ///< "0a…" -> [{"algorithm_id":3,…,"value":"0a…"}]
  ancestry,            ///< entity_id, executable -> uid, path
  answers,             ///< of DNS: name, data -> hostname, rdata
  choose,              ///< by a table; what is not in it is left out
  constant,            ///< a fixed value where there is any
};

struct Choice {
  std::string_view from, to;  ///< JSON both
};

/// Where a value comes from, and what is done to it. Exactly one of field, fact and constant is set.
struct Leaf {
  const wire::Field* field = nullptr;
  std::uint32_t offset = 0;  ///< of the field in the whole record
  Fact fact = Fact::count_;
  std::string constant;
  Convert convert = Convert::none;
  std::span<const Choice> choices;
  std::string_view otherwise;  ///< JSON for a value that is not there but must be

  [[nodiscard]] bool valid() const { return field != nullptr || fact != Fact::count_ || !constant.empty(); }
};

class Passage;

/// One step of writing an event. Objects open only when something in them is there.
struct Step {
  enum class What : std::uint8_t { open, close, leaf, passage } what;
  std::string key;  ///< `,"name":`, of open with `{` behind it; of close and passage: unused
  Leaf leaf;
  /// Of a passage: values that mostly are what they were in the event before (passages.hpp).
  std::vector<Step> steps;
  const Passage* passage = nullptr;  ///< made of them by the encoder
};
using Plan = std::vector<Step>;
inline constexpr std::size_t deepest_nesting = 16;

/// The object that is written, as a tree; the order of first appearance is kept.
struct Node {
  std::string name;
  std::vector<std::unique_ptr<Node>> children;
  Leaf leaf;

  Node& child(std::string_view dotted);
};

/// A field of an event under its ECS name.
struct Source {
  std::string_view name;
  Leaf leaf;
};

/// Everything that a line of this event can hold, in the order of the tables. `constants` (host.*) must outlive it.
std::vector<Source> sources_of(const EventInfo& event, const std::vector<json::Named>& constants);

Plan make_plan(const EventInfo& event, const std::vector<json::Named>& constants, Format format);

/// Replaces what `to` holds from `start` on, a finished JSON value. False: there is nothing to show, `to` is undone.
bool convert_value(std::string& to, std::size_t start, const Leaf& leaf);

}  // namespace nightjar
