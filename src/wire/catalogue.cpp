// SPDX-License-Identifier: Apache-2.0
#include "wire/catalogue.hpp"

#include <algorithm>
#include <map>
#include <memory>

#include "wire/json.hpp"

namespace nightjar {
namespace {

std::string_view type_of(const wire::Field& field) {
  using wire::Shape;
  switch (field.show.shape) {
    case Shape::number:
      return "long";
    case Shape::ip:
      return "ip";
    case Shape::names:
      return "keyword[]";
    case Shape::epoch_ns:
      return "date";
    default:
      return "keyword";
  }
}

void add_fields(std::vector<CatalogueRow>& rows, std::span<const wire::Field> fields) {
  for (const wire::Field& field : fields) {
    if (field.show.shape == wire::Shape::inlined) {
      add_fields(rows, field.inner);
    } else if (!field.name.empty()) {
      const bool large = field.show.shape == wire::Shape::number && field.store == wire::Storage::u64;
      rows.push_back({field.name, type_of(field), field.doc, large});
    }
  }
}

/// A nested object of fields.
struct Tree {
  std::map<std::string, std::unique_ptr<Tree>, std::less<>> children;
  const CatalogueRow* row = nullptr;

  Tree& at(std::string_view dotted) {
    const auto dot = dotted.find('.');
    auto& child = children[std::string(dotted.substr(0, dot))];
    if (!child) child = std::make_unique<Tree>();
    return dot == std::string_view::npos ? *child : child->at(dotted.substr(dot + 1));
  }
};

std::string type_schema(std::string_view type, bool large) {
  if (type.ends_with("[]"))
    return R"("type":"array","items":{)" + type_schema(type.substr(0, type.size() - 2), false) + "}";
  if (type == "long")
    return large ? R"("type":["integer","string"],"pattern":"^[0-9]+$")" : std::string(R"("type":"integer")");
  if (type == "date") return R"("type":"string","format":"date-time")";
  if (type == "boolean") return R"("type":"boolean")";
  if (type == "float") return R"("type":"number")";
  if (type == "object") return R"("type":"object")";
  if (type == "ip") return R"("type":"string","anyOf":[{"format":"ipv4"},{"format":"ipv6"}])";
  return R"("type":"string")";
}

void tree_schema(std::string& to, const Tree& tree) {
  if (tree.row != nullptr) {
    to += "{" + type_schema(tree.row->type, tree.row->large) + ",\"description\":" + json::quoted(tree.row->doc) + "}";
    return;
  }
  to += R"({"type":"object","additionalProperties":false,"properties":{)";
  for (const auto& [name, child] : tree.children) {
    if (to.back() != '{') to += ',';
    json::string(to, name);
    to += ':';
    tree_schema(to, *child);
  }
  to += "}}";
}

}  // namespace

std::vector<CatalogueRow> fields_of(const EventInfo& event) {
  std::vector<CatalogueRow> rows = {
      {"ecs.version", "keyword", "Version of the Elastic Common Schema that the names follow."},
      {"event.kind", "keyword", "What ECS calls this sort of record."},
      {"event.category", "keyword[]", "ECS category."},
      {"event.type", "keyword[]", "ECS type."},
      {"event.action", "keyword", "The event's name."},
      {"event.outcome", "keyword", "success or failure."},
      {"event.module", "keyword", "Always nightjar."},
      {"host.id", "keyword", "The machine: /etc/machine-id, or the boot id where there is none."},
      {"host.hostname", "keyword", "The machine's name when the sensor started."},
      {"host.boot.id", "keyword", "The kernel's random id of this boot."},
      {"host.os.kernel", "keyword", "Kernel release."},
      {"host.architecture", "keyword", "Machine architecture, as uname gives it."},
  };
  const auto constants = rows.size();
  add_fields(rows, event.fields);
  for (const FactInfo& fact : all_facts()) {
    if (fact_applies(fact, event)) rows.push_back({fact.name, fact.type, fact.doc});
  }
  // An event may say by itself what is constant elsewhere (the outcome of a connect).
  for (std::size_t i = constants; i < rows.size(); ++i) {
    const auto same = [&](const CatalogueRow& row) { return row.name == rows[i].name; };
    const auto common = std::find_if(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(constants), same);
    if (common != rows.begin() + static_cast<std::ptrdiff_t>(constants)) common->name = {};
  }
  std::erase_if(rows, [](const CatalogueRow& row) { return row.name.empty(); });
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return rows;
}

std::string catalogue_json(std::string_view version) {
  std::string out =
      "{\"schema\":" + std::to_string(schema_version) + ",\"version\":" + json::quoted(version) + ",\"events\":[";
  for (const EventInfo& event : all_events()) {
    if (out.back() != '[') out += ',';
    out += "{\"name\":" + json::quoted(event.action) + ",\"family\":" + json::quoted(event.family) +
           ",\"default\":" + (event.by_default ? "true" : "false") + ",\"doc\":" + json::quoted(event.doc) +
           ",\"fields\":[";
    for (const CatalogueRow& row : fields_of(event)) {
      if (out.back() != '[') out += ',';
      out += "{\"name\":" + json::quoted(row.name) + ",\"type\":" + json::quoted(row.type) +
             ",\"doc\":" + json::quoted(row.doc) + "}";
    }
    out += "]}";
  }
  return out + "]}\n";
}

std::string catalogue_schema() {
  std::string out = R"({"$schema":"https://json-schema.org/draft/2020-12/schema","title":"Nightjar event, ECS",)"
                    R"("type":"object","required":["@timestamp","event"],"oneOf":[)";
  bool first = true;
  for (const EventInfo& event : all_events()) {
    Tree tree;
    const auto rows = fields_of(event);
    for (const CatalogueRow& row : rows) tree.at(row.name).row = &row;
    std::string schema;
    tree_schema(schema, tree);
    // Which event it is.
    const std::string action = R"({"properties":{"event":{"properties":{"action":{"const":)" +
                               json::quoted(event.action) + R"(}},"required":["action"]}}})";
    if (!first) out += ',';
    first = false;
    out += "{\"title\":" + json::quoted(event.action) + ",\"description\":" + json::quoted(event.doc) + ",\"allOf\":[" +
           action + "," + schema + "]}";
  }
  return out + "]}\n";
}

std::string catalogue_markdown() {
  std::string out =
      "# Events and fields\n\n"
      "Written by `nightjar events --markdown`; a test compares. Schema version " +
      std::to_string(schema_version) +
      ".\n\n"
      "Types are those of ECS. A `long` beyond 2^53 is written as a decimal string.\n\n"
      "## On every event\n\n| field | type | meaning |\n|---|---|---|\n";
  const auto line = [&out](const CatalogueRow& row) {
    out += "| `" + std::string(row.name) + "` | " + std::string(row.type) + " | " + std::string(row.doc) + " |\n";
  };
  const auto in_all = [](std::string_view name) {
    return std::all_of(all_events().begin(), all_events().end(), [&](const EventInfo& event) {
      const auto rows = fields_of(event);
      return std::any_of(rows.begin(), rows.end(), [&](const CatalogueRow& row) { return row.name == name; });
    });
  };
  std::vector<std::string_view> common;
  for (const CatalogueRow& row : fields_of(all_events().front())) {
    if (!in_all(row.name)) continue;
    common.push_back(row.name);
    line(row);
  }
  for (const EventInfo& event : all_events()) {
    out += "\n## " + std::string(event.action) + "\n\n" + std::string(event.doc) +
           " Family: " + std::string(event.family) + (event.by_default ? "." : "; only when named.") + "\n";
    bool any = false;
    for (const CatalogueRow& row : fields_of(event)) {
      if (std::find(common.begin(), common.end(), row.name) != common.end()) continue;
      if (!any) out += "\n| field | type | meaning |\n|---|---|---|\n";
      any = true;
      line(row);
    }
  }
  return out;
}

std::string catalogue_lock() {
  std::map<std::pair<std::string_view, std::string_view>, std::vector<std::string_view>> events_by_field;
  for (const EventInfo& event : all_events()) {
    for (const CatalogueRow& row : fields_of(event)) events_by_field[{row.name, row.type}].push_back(event.action);
  }
  std::string out = "# Every field ever shipped: FIELD TYPE EVENTS. Written by `nightjar events --lock`.\n";
  for (const auto& [field, events] : events_by_field) {
    out += std::string(field.first) + ' ' + std::string(field.second) + ' ';
    if (events.size() == all_events().size()) {
      out += '*';
    } else {
      for (const std::string_view event : events) out += (out.back() == ' ' ? "" : ",") + std::string(event);
    }
    out += '\n';
  }
  return out;
}

}  // namespace nightjar
