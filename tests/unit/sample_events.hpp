// SPDX-License-Identifier: Apache-2.0
// An event of each kind made from the descriptions alone, so that a new event is in these tests without a line here.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "wire/encoder.hpp"

namespace nightjar::test {

/// A file of tests/data or docs, as it was when the tests were built.
inline std::string data_file(const std::string& name) {
  const auto path = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "data" / name;
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.is_open()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string sample_value(std::string_view type) {
  if (type.ends_with("[]")) {
    if (type == "object[]") return R"([{"pid":3,"entity_id":"e","executable":"/x"}])";
    return "[" + (type == "keyword[]" ? std::string(R"("A=b")") : sample_value(type.substr(0, type.size() - 2))) + "]";
  }
  if (type == "long" || type == "float") return "7";
  if (type == "date") return R"("2026-11-22T01:02:03.004000005Z")";
  if (type == "boolean") return "true";
  if (type == "object") return R"({"a":1})";
  if (type == "ip") return R"("127.0.0.1")";
  return R"("/x/y")";
}

inline void fill(std::vector<std::byte>& record, std::span<const wire::Field> fields, std::size_t base) {
  for (const wire::Field& field : fields) {
    const std::size_t at = base + field.offset;
    if (record.size() < at + field.size) record.resize(at + field.size);
    if (field.store == wire::Storage::record) {
      fill(record, field.inner, at);
    } else if (field.store != wire::Storage::slice) {
      for (std::size_t i = 0; i < field.size; ++i) record[at + i] = std::byte{0};
      record[at] =
          std::byte{field.store == wire::Storage::chars
                        ? static_cast<unsigned char>('c')
                        : (field.show.absent == 1 ? static_cast<unsigned char>(2) : static_cast<unsigned char>(1))};
    }
  }
}

inline void fill_slices(std::vector<std::byte>& record, std::span<const wire::Field> fields, std::size_t base) {
  for (const wire::Field& field : fields) {
    if (field.store == wire::Storage::record) fill_slices(record, field.inner, base + field.offset);
    if (field.store != wire::Storage::slice) continue;
    const wire_slice slice{static_cast<std::uint32_t>(record.size()), 4};
    for (const char c : {'a', 'b', 'c', '\0'}) record.push_back(static_cast<std::byte>(c));
    std::memcpy(record.data() + base + field.offset, &slice, sizeof slice);
  }
}

/// Every field there is; or, sparse, only what a record always has.
inline nlohmann::json sample_event(const EventInfo& event, Format format, bool sparse = false) {
  static const std::vector<json::Named> constants{{"host.id", "\"m\""},
                                                  {"host.hostname", "\"h\""},
                                                  {"host.boot.id", "\"b\""},
                                                  {"host.os.kernel", "\"6.12\""},
                                                  {"host.architecture", "\"x86_64\""}};
  std::vector<std::byte> record;
  fill(record, event.fields, 0);
  if (!sparse) fill_slices(record, event.fields, 0);
  std::vector<std::string> values;
  values.reserve(fact_count);
  Facts facts;
  for (const FactInfo& fact : all_facts()) {
    if (!fact_applies(fact, event)) continue;
    if (sparse && fact.fact != Fact::timestamp && fact.fact != Fact::user_id) continue;
    values.push_back(fact.fact == Fact::dns_answers ? R"([{"name":"n","type":"A","class":"IN","ttl":1,"data":"d"}])"
                                                    : sample_value(fact.type));
    facts[fact.fact] = values.back();
  }
  std::string line;
  Encoder(constants, format).encode(line, event, record, facts);
  auto parsed = nlohmann::json::parse(line, nullptr, false);
  EXPECT_FALSE(parsed.is_discarded()) << event.action << ": " << line;
  return parsed;
}

}  // namespace nightjar::test
