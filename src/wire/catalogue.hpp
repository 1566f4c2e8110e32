// SPDX-License-Identifier: Apache-2.0
// The fields of each event as documents: the reference, the JSON Schema, the lock. All from the tables of the encoder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wire/events.hpp"

namespace nightjar {

/// Goes up when a field disappears or changes its type; a new field does not change it.
inline constexpr unsigned schema_version = 1;

struct CatalogueRow {
  std::string_view name, type, doc;
  bool large = false;  ///< a number that may exceed 2^53: then a decimal string
};

/// Sorted by name.
std::vector<CatalogueRow> fields_of(const EventInfo& event);

/// {"schema":1,"version":…,"events":[{"name":…,"family":…,"default":…,"doc":…,"fields":[{"name":…,"type":…,"doc":…}]}]}
std::string catalogue_json(std::string_view version);
/// JSON Schema (2020-12) of one line of ECS output.
std::string catalogue_schema();
/// docs/events.md
std::string catalogue_markdown();
/// docs/schema.lock: "FIELD TYPE EVENT,EVENT,…" or "FIELD TYPE *", sorted.
std::string catalogue_lock();

}  // namespace nightjar
