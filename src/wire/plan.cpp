// SPDX-License-Identifier: Apache-2.0
#include "wire/plan.hpp"

#include <algorithm>
#include <iterator>

#include "wire/ocsf.hpp"

namespace nightjar {
namespace {

using wire::Field;

void add_fields(std::vector<Source>& sources, std::span<const Field> fields, std::uint32_t base) {
  for (const Field& field : fields) {
    if (field.show.shape == wire::Shape::inlined) {
      add_fields(sources, field.inner, base + field.offset);
    } else if (!field.name.empty()) {
      Leaf leaf;
      leaf.field = &field;
      leaf.offset = base + field.offset;
      sources.push_back({field.name, std::move(leaf)});
    }
  }
}

bool is_constant(const Step& step) {
  return step.what == Step::What::leaf && !step.leaf.constant.empty() && step.leaf.convert == Convert::none;
}

/// Appends a value. One that never changes becomes part of such a one before it: both are written at once.
void add_leaf(Plan& plan, Step leaf) {
  if (!plan.empty() && is_constant(plan.back()) && is_constant(leaf)) {
    plan.back().leaf.constant += leaf.key + leaf.leaf.constant;
  } else {
    plan.push_back(std::move(leaf));
  }
}

void flatten(Plan& plan, const Node& node) {
  for (const auto& child : node.children) {
    const std::string key = "," + json::quoted(child->name) + ":";
    if (!child->children.empty()) {
      Plan inner;
      flatten(inner, *child);
      // A whole object that never changes is such a value, too.
      if (inner.size() == 1 && is_constant(inner.front())) {
        Step& only = inner.front();
        only.leaf.constant = "{" + only.key.substr(1) + only.leaf.constant + "}";
        only.key = key;
        add_leaf(plan, std::move(only));
        continue;
      }
      plan.push_back({Step::What::open, key + "{", {}});
      std::move(inner.begin(), inner.end(), std::back_inserter(plan));
      plan.push_back({Step::What::close, {}, {}});
    } else if (child->leaf.valid()) {  // else: a name that only set the order
      add_leaf(plan, {Step::What::leaf, key, child->leaf});
    }
  }
}

Node ecs_tree(const std::vector<Source>& sources) {
  Node root;
  // The order in which people look: when, what, who; nightjar.raw last, because it is known last.
  for (const std::string_view first : {"@timestamp", "event", "process", "user", "file", "error", "container", "host"})
    root.child(first);
  for (const Source& source : sources) root.child(source.name).leaf = source.leaf;
  return root;
}

}  // namespace

Node& Node::child(std::string_view dotted) {
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

std::vector<Source> sources_of(const EventInfo& event, const std::vector<json::Named>& constants) {
  std::vector<Source> sources;
  std::vector<Source> facts;
  for (const FactInfo& info : all_facts()) {
    if (!fact_applies(info, event)) continue;
    Leaf leaf;
    leaf.fact = info.fact;
    facts.push_back({info.name, std::move(leaf)});
  }
  const auto constant = [&](std::string_view name, std::string value) {
    Leaf leaf;
    leaf.constant = std::move(value);
    sources.push_back({name, std::move(leaf)});
  };
  constant("event.kind", json::quoted(event.ecs_kind));
  constant("event.category", std::string(event.category));
  if (!event.type.empty()) constant("event.type", std::string(event.type));
  constant("event.action", json::quoted(event.action));
  if (!event.outcome.empty()) constant("event.outcome", json::quoted(event.outcome));
  constant("event.module", "\"nightjar\"");
  constant("ecs.version", "\"9.3.0\"");
  for (const auto& [name, value] : constants) constant(name, value);
  add_fields(sources, event.fields, 0);
  sources.insert(sources.end(), facts.begin(), facts.end());
  return sources;
}

Plan make_plan(const EventInfo& event, const std::vector<json::Named>& constants, Format format) {
  const auto sources = sources_of(event, constants);
  Plan plan;
  flatten(plan, format == Format::ocsf ? ocsf_tree(event, sources) : ecs_tree(sources));
  return plan;
}

}  // namespace nightjar
