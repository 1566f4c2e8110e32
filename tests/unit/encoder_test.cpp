// SPDX-License-Identifier: Apache-2.0
#include "wire/encoder.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sample_events.hpp"

namespace nightjar {
namespace {

process_exit exit_record() {
  process_exit record{};
  record.hdr.kind = WIRE_PROCESS_EXIT;
  record.hdr.size = sizeof record;
  record.task.pid = 4711;
  record.task.uid = 1000;
  record.task.login_uid = 0xffffffff;
  record.task.ns.mnt = 4026531841U;
  std::strcpy(record.task.comm, "cat\xff");
  record.read_bytes = ~0ULL;
  record.write_bytes = 4096;
  return record;
}

nlohmann::json encoded(const process_exit& record, Facts& facts) {
  Encoder encoder(std::vector<json::Named>{{"host.hostname", "\"h\""}});
  std::string line;
  encoder.encode(line, event_info(Kind::exit), std::as_bytes(std::span(&record, 1)), facts);
  EXPECT_EQ(line.back(), '\n');
  return nlohmann::json::parse(line);
}

TEST(Encoder, nests_names_and_shows_ids_as_ecs_wants_them) {
  Facts facts;
  const auto event = encoded(exit_record(), facts);
  EXPECT_EQ(event["process"]["pid"], 4711);
  EXPECT_EQ(event["process"]["user"]["id"], "1000");
  EXPECT_EQ(event["nightjar"]["ns"]["mnt"], 4026531841U);
  EXPECT_EQ(event["event"]["action"], "exit");
  EXPECT_EQ(event["event"]["type"], nlohmann::json::array({"end"}));
  EXPECT_EQ(event["host"]["hostname"], "h");
}

TEST(Encoder, leaves_out_what_is_not_there_and_objects_that_would_be_empty) {
  Facts facts;
  const auto event = encoded(exit_record(), facts);
  EXPECT_FALSE(event["nightjar"].contains("login_uid"));
  EXPECT_FALSE(event["nightjar"]["exit"].contains("read_bytes"));
  EXPECT_EQ(event["nightjar"]["exit"]["write_bytes"], 4096);
  EXPECT_FALSE(event.contains("container"));
  EXPECT_FALSE(event["process"].contains("parent") && event["process"]["parent"].contains("entity_id"));
}

TEST(Encoder, keeps_the_exact_bytes_beside_a_text_that_is_not_utf8) {
  Facts facts;
  const auto event = encoded(exit_record(), facts);
  EXPECT_EQ(event["process"]["name"], "cat\xef\xbf\xbd");
  EXPECT_EQ(event["nightjar"]["raw"]["process"]["name"], "Y2F0/w==");
}

TEST(Encoder, takes_facts_only_where_they_apply) {
  Facts facts;
  facts[Fact::exit_code] = "7";
  facts[Fact::exec_scripts] = "[]";  // of exec only
  const auto event = encoded(exit_record(), facts);
  EXPECT_EQ(event["process"]["exit_code"], 7);
  EXPECT_FALSE(event["nightjar"].contains("exec"));
}

TEST(Encoder, shows_modes_devices_and_names) {
  process_exec record{};
  record.hdr.kind = WIRE_PROCESS_EXEC;
  record.hdr.size = sizeof record;
  record.file.mode = 0104755;
  record.file.dev = 259U << 20 | 2U;
  record.cap_effective = 1ULL << 21 | 1ULL;
  record.flags = WIRE_EXEC_SETUID | WIRE_EXEC_INTERPRETED;
  Encoder encoder{std::vector<json::Named>{}};
  std::string line;
  Facts facts;
  encoder.encode(line, event_info(Kind::exec), std::as_bytes(std::span(&record, 1)), facts);
  const auto event = nlohmann::json::parse(line);
  EXPECT_EQ(event["file"]["mode"], "4755");
  EXPECT_EQ(event["file"]["device"], "259:2");
  EXPECT_EQ(event["process"]["thread"]["capabilities"]["effective"],
            nlohmann::json::array({"CAP_CHOWN", "CAP_SYS_ADMIN"}));
  EXPECT_EQ(event["nightjar"]["exec"]["flags"], nlohmann::json::array({"setuid"}));
}

/// Offsets of the first byte of each field of numbers and characters.
void offsets_of(std::span<const wire::Field> fields, std::size_t base, std::vector<std::size_t>& offsets) {
  for (const wire::Field& field : fields) {
    if (field.store == wire::Storage::record) offsets_of(field.inner, base + field.offset, offsets);
    if (field.store != wire::Storage::record && field.store != wire::Storage::slice && !field.name.empty())
      offsets.push_back(base + field.offset);
  }
}

class KeptPassages : public testing::TestWithParam<Format> {};

TEST_P(KeptPassages, follow_every_field_and_fact) {
  const EventInfo& event = event_info(Kind::exec);
  std::vector<std::byte> record;
  test::fill(record, event.fields, 0);
  test::fill_slices(record, event.fields, 0);
  std::array<std::string, fact_count> values;
  Facts facts;
  for (const FactInfo& fact : all_facts()) {
    if (!fact_applies(fact, event)) continue;
    std::string& value = values[static_cast<std::size_t>(fact.fact)];
    value = test::sample_value(fact.type);
    facts[fact.fact] = value;
  }
  const Encoder remembers_nothing({{"host.hostname", "\"h\""}}, GetParam());
  Encoder encoder = remembers_nothing;
  const auto encode_some_times = [&](const std::string& what) {
    std::string expected;
    Facts given = facts;
    Encoder(remembers_nothing).encode(expected, event, record, given);
    for (int time = 0; time < 3; ++time) {
      std::string line;
      Facts copy = facts;
      encoder.encode(line, event, record, copy);
      EXPECT_EQ(line, expected) << what << ", time " << time;
    }
    return expected;
  };
  const std::string original = encode_some_times("as it was");
  std::vector<std::size_t> offsets;
  offsets_of(event.fields, 0, offsets);
  ASSERT_GT(offsets.size(), 30U);
  for (const std::size_t offset : offsets) {
    const std::byte before = record[offset];
    // 0xff makes a text that is not UTF-8, which adds to nightjar.raw.
    for (const std::byte value : {std::byte{3}, std::byte{0xff}, before}) {
      record[offset] = value;
      encode_some_times("byte " + std::to_string(offset));
    }
  }
  for (const FactInfo& fact : all_facts()) {
    const std::string_view before = facts[fact.fact];
    if (before.empty()) continue;
    // The same length and another, no value at all, and back.
    std::string other(before);
    std::ranges::replace(other, '/', '+');
    for (const std::string_view value : {std::string_view(other), std::string_view("0"), std::string_view(), before}) {
      facts[fact.fact] = value;
      encode_some_times(std::string(fact.name));
    }
  }
  EXPECT_EQ(encode_some_times("in the end"), original);
}

INSTANTIATE_TEST_SUITE_P(Formats, KeptPassages, testing::Values(Format::ecs, Format::ocsf));

}  // namespace
}  // namespace nightjar
