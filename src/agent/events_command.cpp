// SPDX-License-Identifier: Apache-2.0
// Every event and field, printed from the tables that the encoder uses.
#include <cstdio>
#include <iostream>

#include "agent/commands.hpp"
#include "wire/encoder.hpp"

namespace nightjar {
namespace {

struct Row {
  std::string_view name, type, doc;
};

std::string_view type_of(const wire::Field& field) {
  using wire::Shape;
  switch (field.show.shape) {
    case Shape::number:
      return "long";
    case Shape::names:
      return "keyword[]";
    case Shape::epoch_ns:
      return "date";
    default:
      return "keyword";
  }
}

void add_fields(std::vector<Row>& rows, std::span<const wire::Field> fields) {
  for (const wire::Field& field : fields) {
    if (field.show.shape == wire::Shape::inlined) {
      add_fields(rows, field.inner);
    } else if (!field.name.empty()) {
      rows.push_back({field.name, type_of(field), field.doc});
    }
  }
}

std::vector<Row> rows_of(const EventInfo& event) {
  std::vector<Row> rows = {
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
  add_fields(rows, event.fields);
  for (const FactInfo& fact : all_facts()) {
    if (fact_applies(fact, event)) rows.push_back({fact.name, fact.type, fact.doc});
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.name < b.name; });
  return rows;
}

void print_json() {
  std::string out = "{\"version\":" + json::quoted(NIGHTJAR_VERSION) + ",\"events\":[";
  for (const EventInfo& event : all_events()) {
    if (out.back() != '[') out += ',';
    out += "{\"name\":" + json::quoted(event.action) + ",\"family\":" + json::quoted(event.family) +
           ",\"default\":" + (event.by_default ? "true" : "false") + ",\"doc\":" + json::quoted(event.doc) +
           ",\"fields\":[";
    for (const Row& row : rows_of(event)) {
      if (out.back() != '[') out += ',';
      out += "{\"name\":" + json::quoted(row.name) + ",\"type\":" + json::quoted(row.type) +
             ",\"doc\":" + json::quoted(row.doc) + "}";
    }
    out += "]}";
  }
  std::cout << out << "]}\n";
}

}  // namespace

int list_events(const Options& options) {
  if (options.json) {
    print_json();
    return exit_done;
  }
  for (const EventInfo& event : all_events()) {
    std::printf("%s (%s)%s\n  %s\n", std::string(event.action).c_str(), std::string(event.family).c_str(),
                event.by_default ? "" : ", only when named", std::string(event.doc).c_str());
    for (const Row& row : rows_of(event)) {
      std::printf("    %-40s %-12s %s\n", std::string(row.name).c_str(), std::string(row.type).c_str(),
                  std::string(row.doc).c_str());
    }
    std::puts("");
  }
  return exit_done;
}

}  // namespace nightjar
