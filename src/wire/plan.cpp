// SPDX-License-Identifier: Apache-2.0
#include "wire/plan.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "wire/base.h"
#include "wire/ocsf.hpp"

namespace nightjar {
namespace {

using wire::Field;

// Fewer values are written as fast as they are compared.
constexpr std::size_t fewest_values = 2;

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

/// Values that stay what they are while a process does one thing after the other.
enum class Steady : std::uint8_t {
  always,   ///< constants: they go with either
  session,  ///< the same for many processes: users, cgroup, namespaces, capabilities
  process,  ///< who it is
  no,
};

Steady steadiness(const Leaf& leaf) {
  if (leaf.field != nullptr) {
    if (leaf.field->show.shape == wire::Shape::names) return Steady::session;  // capabilities, and what is rare
    const bool of_task = leaf.offset >= sizeof(wire_header) && leaf.offset < sizeof(wire_header) + sizeof(wire_task);
    if (!of_task) return Steady::no;
    const std::size_t offset = leaf.offset - sizeof(wire_header);
    const bool is_pid = offset >= offsetof(wire_task, pid) && offset < offsetof(wire_task, uid);
    return is_pid || offset >= offsetof(wire_task, comm) ? Steady::process : Steady::session;
  }
  switch (leaf.fact) {
    case Fact::entity_id:
    case Fact::start:
    case Fact::executable:
    case Fact::args:
    case Fact::command_line:
    case Fact::parent_entity_id:
    case Fact::parent_executable:
    case Fact::parent_name:
      return Steady::process;
    case Fact::user_id:
    case Fact::user_name:
    case Fact::process_user_name:
    case Fact::process_group_name:
    case Fact::cgroup_path:
    case Fact::container_id:
    case Fact::container_runtime:
    case Fact::container_image:
    case Fact::container_name:
    case Fact::orchestrator:
    case Fact::pod_kind:
    case Fact::pod_uid:
      return Steady::session;
    case Fact::count_:
      return Steady::always;
    default:
      return Steady::no;
  }
}

Steady steadiness(const Node& node) {
  if (node.children.empty()) return node.leaf.valid() ? steadiness(node.leaf) : Steady::always;
  Steady all = Steady::always;
  for (const auto& child : node.children) {
    const Steady one = steadiness(*child);
    if (one == Steady::always || one == all) continue;
    if (all != Steady::always || one == Steady::no) return Steady::no;
    all = one;
  }
  return all;
}

std::size_t values_in(const Plan& plan) {
  return static_cast<std::size_t>(std::count_if(
      plan.begin(), plan.end(), [](const Step& step) { return step.what == Step::What::leaf && !is_constant(step); }));
}

/// Appends steps of the same steadiness, as one passage where that spares something.
void add_passage(Plan& plan, Plan steps) {
  if (values_in(steps) < fewest_values) {
    for (Step& step : steps)
      step.what == Step::What::leaf ? add_leaf(plan, std::move(step)) : plan.push_back(std::move(step));
  } else {
    plan.push_back({Step::What::passage, {}, {}, std::move(steps), nullptr});
  }
}

void flatten(Plan& plan, const Node& node, bool in_passage) {
  Plan passage;  // of the children that came last
  Steady steady = Steady::always;
  const auto end_passage = [&] { add_passage(plan, std::exchange(passage, {})); };
  for (const auto& child : node.children) {
    const Steady one = in_passage ? Steady::no : steadiness(*child);
    if (one == Steady::no || (one != Steady::always && steady != Steady::always && one != steady)) {
      end_passage();
      steady = Steady::always;
    }
    if (one != Steady::always) steady = one;
    Plan& to = one == Steady::no ? plan : passage;
    const std::string key = "," + json::quoted(child->name) + ":";
    if (!child->children.empty()) {
      Plan inner;
      flatten(inner, *child, in_passage || one != Steady::no);
      // A whole object that never changes is such a value, too.
      if (inner.size() == 1 && is_constant(inner.front())) {
        Step& only = inner.front();
        only.leaf.constant = "{" + only.key.substr(1) + only.leaf.constant + "}";
        only.key = key;
        add_leaf(to, std::move(only));
        continue;
      }
      to.push_back({Step::What::open, key + "{", {}, {}, nullptr});
      std::move(inner.begin(), inner.end(), std::back_inserter(to));
      to.push_back({Step::What::close, {}, {}, {}, nullptr});
    } else if (child->leaf.valid()) {  // else: a name that only set the order
      add_leaf(to, {Step::What::leaf, key, child->leaf, {}, nullptr});
    }
  }
  end_passage();
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
  flatten(plan, format == Format::ocsf ? ocsf_tree(event, sources) : ecs_tree(sources), false);
  return plan;
}

}  // namespace nightjar
